# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every answer that any test gets from an endpoint is held to the models of its OpenAPI document, strictly."""

from __future__ import annotations

from typing import Any

from lease_endpoint import answers

ANSWERS = {
    "/v1/whoami": answers.Whoami, "/v1/leases": answers.Leases, "/v1/claim": answers.LeaseAnswer, "/v1/renew": answers.LeaseAnswer,
    "/v1/resign": answers.LeaseAnswer, "/v1/transfer": answers.LeaseAnswer, "/v1/pin": answers.Results, "/v1/unpin": answers.Results,
    "/v1/pins": answers.Pins, "/v1/clear-halt": answers.Results, "/v1/history": answers.History, "/healthz": answers.Health,
}


def hold_to_the_document(path: str, status: int, body: Any) -> None:
    """Raises when the document does not say that this can be answered."""
    model = ANSWERS.get(path.partition("?")[0]) if status == 200 else answers.REFUSALS[status]
    if model is not None:
        model.model_validate(body, strict=True)
