# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The preflight of a fleet as one HTML page, in the style of the timeline.

Private room of the collection, pure: a report in (`_preflight_report.of_fleet`), a page out. The page needs nothing but itself, and runs no
script. Everything that came from a machine or an inventory is escaped.
"""

from __future__ import annotations

import html
import re
import typing as t

from ..module_utils._preflight.finding import INFO, INHIBITOR, SEVERITIES, WARNING
from ._preflight_report import BLOCKED, DONE, READY, RESUMES, UNKNOWN, folded
from ._timeline import PAGE
from ._timeline_style import STYLE

Facts = t.Mapping[str, t.Any]
SHADES = {READY: "good", DONE: "soft", RESUMES: "soft", BLOCKED: "bad", UNKNOWN: "bad"}
HEADINGS = {INHIBITOR: "Forbid the upgrade", WARNING: "To be read", INFO: "For your information"}
OWN = """
.finding { display: grid; grid-template-columns: 12rem 9rem 1fr; gap: 0 1.2rem; padding: 0.7rem 0; border-top: 1px solid var(--line); }
.finding:first-of-type { border-top: 0; }
.finding p { margin: 0 0 0.15rem; overflow-wrap: anywhere; }
.finding code { font: 0.85rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.finding .hosts { color: var(--soft); font-size: 0.88rem; overflow-wrap: anywhere; }
.finding .why, .finding .from { color: var(--soft); font-size: 0.88rem; }
.finding .remedy { font-weight: 600; font-size: 0.92rem; }
.finding a { color: var(--frozen); }
.finding .ok { color: var(--good); font-weight: 600; font-size: 0.88rem; }
section.inhibitor h2 { color: var(--bad); } section.warning h2 { color: var(--warn); }
section.inhibitor { border-left: 4px solid var(--bad); } section.warning { border-left: 4px solid var(--warn); }
.fleet { width: 100%; } .fleet th { text-align: left; padding: 0.2rem 1rem 0.4rem 0; color: var(--soft); font-weight: 500; }
.fleet td, .fleet td:first-child { padding: 0.3rem 1rem 0.3rem 0; border-top: 1px solid var(--line); text-align: left; color: inherit; }
@media (max-width: 46rem) { .finding { grid-template-columns: 1fr; } }
@media print { .finding { break-inside: avoid; } section.inhibitor, section.warning { padding-left: 0.8rem; } }
"""


def page(report: Facts) -> str:
    """The whole page."""
    title = "Preflight to %s" % report["target"]
    together = folded(report)
    sections = [_section(severity, [finding for finding in together if finding["severity"] == severity], len(report["machines"])) for severity in SEVERITIES]
    body = "\n".join([_head(report, title), _fleet(report), *filter(None, sections), _foot(report)])
    return PAGE % {"title": _text("%s, run %s" % (title, report["run"])), "style": STYLE + OWN, "body": body}


def _head(report: Facts, title: str) -> str:
    states = [found["state"] for found in report["machines"].values()]
    counts = report["counts"]
    tiles = [("%d of %d" % (sum(state in (READY, DONE, RESUMES) for state in states), len(states)), "machines ready", "good" if report["ready"] else "bad"),
             (str(counts[INHIBITOR]), "inhibitors" if counts[INHIBITOR] != 1 else "inhibitor", "bad" if counts[INHIBITOR] else "good"),
             (str(counts[WARNING]), "warnings" if counts[WARNING] != 1 else "warning", "")]
    tiles += [(str(report["accepted"]), "accepted", "")] if report["accepted"] else []
    fetched = sum((finding.get("data") or {}).get("download_mb", 0) for finding in report["findings"] if finding["id"] == "predicted")
    tiles += [("%s MB" % format(fetched, ","), "to fetch", "")] if fetched else []
    return '<header><div><h1>%s</h1><p>%s</p></div><p class="verdict %s">%s</p></header>\n<ul class="tiles">%s</ul>' % (
        _text(title), _text("run %s · %s" % (report["run"], report["finished"].replace("T", " ").replace("Z", " UTC"))),
        "good" if report["ready"] else "bad", "ready" if report["ready"] else "not ready",
        "".join('<li class="%s"><strong>%s</strong> %s</li>' % (shade, _text(value), _text(word)) for value, word, shade in tiles))


def _fleet(report: Facts) -> str:
    rows = []
    for host, found in report["machines"].items():
        mine = [finding for finding in report["findings"] if finding["machine"] == host]
        told = next((finding for finding in mine if finding["id"] == "predicted"), None)
        room = "; ".join("%s %s of %s MB" % (need["place"], need["needed"], need["free"]) for need in (told.get("data") or {}).get("room", [])) if told else ""
        counts = ", ".join("%d %s%s" % (number, severity, "" if number == 1 else "s") for severity in (INHIBITOR, WARNING)
                           for number in [sum(finding["severity"] == severity and not finding.get("accepted") for finding in mine)] if number)
        what = found["problem"] or (told["what"] if told else "not predicted" if found["predicted"] is False else "")
        rows.append('<tr><td><b>%s</b></td><td>%s</td><td class="end %s">%s</td><td>%s</td><td>%s</td><td>%s</td></tr>' % (
            _text(host), _text(found["series"] or ""), SHADES[found["state"]], _text(found["state"]), _text(counts), _text(what), _text(room)))
    heads = "".join("<th>%s</th>" % word for word in ("Machine", "Series", "", "Findings", "The upgrade would do", "Room needed"))
    return '<section><h2>Machines</h2><table class="fleet"><thead><tr>%s</tr></thead><tbody>%s</tbody></table></section>' % (heads, "".join(rows))


def _section(severity: str, findings: t.Sequence[Facts], everybody: int) -> str:
    if not findings:
        return ""
    return '<section class="%s"><h2>%s</h2>%s</section>' % (severity, HEADINGS[severity], "".join(_finding(finding, everybody) for finding in findings))


def _finding(finding: Facts, everybody: int) -> str:
    hosts = "all %d" % everybody if len(finding["machines"]) == everybody > 2 else ", ".join(finding["machines"])
    accepted = finding.get("accepted")
    parts = ["<p>%s</p>" % _text(finding["what"])]
    parts += ['<p class="why">%s</p>' % _text(finding["why"])] if finding["why"] else []
    parts += ['<p class="remedy">%s</p>' % _text(finding["remedy"])] if finding["remedy"] and not accepted else []
    parts += ['<p class="ok">✓ accepted: %s</p>' % _text(accepted.get("reason") or "no reason given")] if accepted else []
    parts += ['<p class="from">%s</p>' % _source(finding["source"])] if finding["source"] else []
    return '<div class="finding"><code>%s</code><span class="hosts">%s</span><div>%s</div></div>' % (_text(finding["id"]), _text(hosts), "".join(parts))


def _source(source: str) -> str:
    return '<a href="%s" rel="noreferrer">%s</a>' % (_text(source), _text(source)) if re.match(r"^https://", source) else _text(source)


def _foot(report: Facts) -> str:
    return "<footer><p>Looked at %s, run %s. The same as JSON lies beside this page. Made by leasehold.series_upgrade.</p></footer>" % (
        _text(report["finished"]), _text(report["run"]))


def _text(value: t.Any) -> str:
    return html.escape(str(value))
