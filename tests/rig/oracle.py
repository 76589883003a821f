# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of any two records that were written one after the other, whatever happened in between."""

from __future__ import annotations

import typing as t

from ansible_collections.leasehold.series_upgrade.plugins.module_utils._watcher import states

ROADS = {(before, after) for (before, event), after in states.TRANSITIONS.items() if event != "arm"}


class WrongState(AssertionError):
    """What has been seen to be wrong, in a sentence."""


def follows(old: dict[str, t.Any], new: dict[str, t.Any]) -> None:
    """Raises WrongState when new may not come after old; both belong to one upgrade."""
    before, after = old["state"], new["state"]
    if before != after and (before, after) not in ROADS:
        raise WrongState("%s does not follow %s" % (after, before))
    if old["irreversible"] and (after == states.ABORTED or not new["irreversible"]):
        raise WrongState("what was irreversible has been forgotten on the way to %s" % after)
    if after == states.COMMITTING and before != after:
        asked = any(given.get("do") == "commit" for given in new["requests"].values())
        if not asked and new["grace_remaining"] > 0 and new["not_after_remaining"] != 0:
            raise WrongState("committed with %s s of grace left, and nobody has asked for it" % new["grace_remaining"])
    identities = [window["id"] for window in new["windows"]]
    if len(set(identities)) < len(identities):
        raise WrongState("the disruption %s was announced twice" % identities)
    if new["cleaning"] and after not in (states.COMMITTED, states.ROLLED_BACK, states.ABORTED):
        raise WrongState("what leads back is deleted in %s" % after)
