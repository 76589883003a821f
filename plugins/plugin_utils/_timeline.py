# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""
The report of a run as one HTML page: machines x time, with the leadership of the applications above them.

Private room of the collection, pure: a report in (`_report.of_run`), a page out. The page needs nothing but itself, runs no script, and
may be mailed, printed and kept. Everything that came from a machine or an inventory is escaped.
"""

from __future__ import annotations

import datetime
import html
import typing as t

from ._timeline_spans import WORDS, Facts, Lane, Span, applications, frozen, length, machines
from ._timeline_style import STYLE

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
TICKS = 9
# In the legend, in the order in which a machine goes through them.
LEGEND = ("waiting", "preparing", "draining", "upgrading", "rebooting", "watching", "held", "back", "unknown")
SIGNS = {"good": "✓", "back": "↩", "bad": "✕", "halted": "–", "change": "✕", "check": "", "ill": ""}
TURNS = {"waiting": "waits", "running": "its turn", "done": "through", "halted": "does not go", "failed": "not through"}
ENDS = {"done": "done", "failed": "failed", "halted": "did not go", "waiting": "did not go", "running": "not known", "skipped": "skipped"}


def page(report: Facts) -> str:
    """The whole page."""
    leaderships, lanes = applications(report), machines(report)
    title = "%s %s" % ({"upgrade": "Upgrade to", "rollback": "Back from"}[report["purpose"]], report["target"])
    body = "\n".join((_head(report, title), _next(report), _chart(report, leaderships, lanes), _story(report, lanes, leaderships), _foot(report)))
    return PAGE % {"title": _text("%s, run %s" % (title, report["run"])), "style": STYLE, "body": body}


PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="generator" content="leasehold.series_upgrade">
<title>%(title)s</title>
<style>%(style)s</style>
</head>
<body>
%(body)s
</body>
</html>
"""
CHART = """<section><h2>Timeline</h2>%(empty)s
<div class="chart" role="table" style="--ticks:%(ticks)s">%(rows)s</div>
<ul class="legend">%(legend)s</ul></section>"""
FOOT = """<footer>
<p>Times are the controller's. What a machine told later than it happened is placed by the difference between its clock and the controller's at that time.</p>
<p>Run %(run)s, session %(session)s, plan %(plan)s. The same as JSON lies beside this page. Made by leasehold.series_upgrade.</p>
</footer>"""


def _head(report: Facts, title: str) -> str:
    changes = [count for count in report.get("leadership_changes", {}).values() if count is not None]
    states = [end["state"] for end in report["machines"].values()]
    back = [end for end in report["machines"].values() if end.get("watcher") == "ROLLED_BACK" and end["state"] == "failed"]
    tiles = [("%d of %d" % (sum(state in ("done", "skipped") for state in states), len(states)), "machines done", "")]
    if back:
        tiles.append((str(len(back)), "rolled back by itself" if len(back) == 1 else "rolled back by themselves", "bad"))
    stayed = sum(state in ("halted", "waiting") for state in states)
    if stayed:
        tiles.append((str(stayed), "did not go", "soft"))
    tiles.append((str(sum(changes)) if changes else "–", "leadership changes while pinned" if report["pin"] else "leadership changes, not pinned",
                  "soft" if not changes or not report["pin"] else "bad" if any(changes) else "good"))
    if report.get("seconds") is not None:
        tiles.append((_long(report["seconds"]), "from plan to end", ""))
    when = [_when(report.get("began")), _when(report["finished"], report.get("began"))]
    return '<header><div><h1>%s</h1><p>%s</p></div><p class="verdict %s">%s</p></header>\n<ul class="tiles">%s</ul>' % (
        _text(title), _text("run %s · %s" % (report["run"], " – ".join(filter(None, when)))),
        "good" if report["succeeded"] else "bad", "finished" if report["succeeded"] else "not finished",
        "".join('<li class="%s"><strong>%s</strong> %s</li>' % (shade, _text(value), _text(word)) for value, word, shade in tiles))


def _next(report: Facts) -> str:
    if not report["next"]:
        return ""
    return '<section class="next"><h2>What to do next</h2><ol>%s</ol></section>' % "".join("<li>%s</li>" % _text(step) for step in report["next"])


def _chart(report: Facts, leaderships: list[Lane], lanes: list[Lane]) -> str:
    whole = length(report)
    rows = ['<div class="row axis"><span></span><div class="lane">%s</div><span></span></div>' % _axis(whole)]
    if leaderships:
        rows.append('<h3>Leadership</h3>')
        rows += [_leadership_row(report, lane, whole) for lane in leaderships]
    rows.append("<h3>Machines</h3>")
    rows += [_machine_row(report, lane, frozen(report, lane.name, leaderships), whole) for lane in lanes]
    used = {span.kind for lane in lanes for span in lane.spans}
    keys = ['<li><i class="span %s"></i>%s</li>' % (kind, WORDS[kind]) for kind in LEGEND if kind in used]
    if any(span.kind == "pinned" for lane in leaderships for span in lane.spans):
        keys += ['<li><i class="span pinned"></i>pinned</li>', '<li><i class="frozen"></i>an application on it is pinned</li>']
    keys += ['<li><b class="leads">★</b> leader</li>'] if leaderships else []
    empty = "" if report.get("events") else '<p class="hint">Nothing was recorded of this execution, so there is nothing to draw.</p>'
    return CHART % {"empty": empty, "ticks": _percent(_step(whole), whole), "rows": "\n".join(rows), "legend": "".join(keys)}


def _axis(whole: float) -> str:
    step = _step(whole)
    ticks = [number * step for number in range(int(whole / step) + 1)]
    # A label at the very edge would stick out of the page.
    return "".join('<time style="left:%s">%s</time>' % (_percent(at, whole), _clock(at, whole)) for at in ticks if at <= whole * 0.97)


def _leadership_row(report: Facts, lane: Lane, whole: float) -> str:
    found = report["applications"][lane.name]
    changes, pinned = found.get("leadership_changes"), found.get("pinned")
    said = ["was not pinned" if changes is None else "%d leadership change%s" % (changes, "" if changes == 1 else "s")]
    said += [] if report["pin"] or changes is None else ["not pinned"]
    moved = len({span.label for span in lane.spans}) - 1
    said += ["%d planned handover%s" % (moved, "" if moved == 1 else "s")] if not changes and moved > 0 else []
    said += ["still pinned"] if pinned else []
    said += ["halted"] if found.get("halted") else []
    shade = "bad" if (changes and report["pin"]) or found.get("halted") else "warn" if pinned else "good" if changes == 0 else "soft"
    spans = "".join(_bar(span, whole, "stays" if pinned and span is lane.spans[-1] else "") for span in lane.spans)
    return _row("leadership", "<b>%s</b>" % _text(lane.name), spans + _moments(lane, whole), shade, ", ".join(said))


def _machine_row(report: Facts, lane: Lane, pinned: list[tuple[float, float]], whole: float) -> str:
    end = report["machines"][lane.name]
    units = []
    for name, members in sorted(report.get("units", {}).items()):
        holder = report["applications"].get(name, {}).get("holder")
        units += ['<span class="leads" title="leads %s">★ %s</span>' % (_text(name), _text(unit)) if unit == holder else "<span>%s</span>" % _text(unit)
                  for unit, host in members.items() if host == lane.name]
    bands = "".join('<i class="frozen" style="left:%s;width:%s"></i>' % (_percent(begin, whole), _percent(end_of - begin, whole)) for begin, end_of in pinned)
    spans = "".join(_bar(span, whole) for span in lane.spans)
    return _row("machine", "<b>%s</b><small>%s</small>" % (_text(lane.name), " ".join(units)), bands + spans + _moments(lane, whole),
                *_end(end), str(end.get("series") or ""))


def _row(kind: str, name: str, lane: str, shade: str, said: str, more: str = "") -> str:
    return '<div class="row %s" role="row"><span class="name" role="rowheader">%s</span><div class="lane" role="cell">%s</div>' \
           '<span class="end %s" role="cell">%s%s</span></div>' % (kind, name, lane, shade, _text(said), "<small>%s</small>" % _text(more) if more else "")


def _bar(span: Span, whole: float, more: str = "") -> str:
    title = "%s, %s to %s (%s)%s" % (WORDS[span.kind], _clock(span.begin, whole), _clock(span.end, whole), _long(span.end - span.begin),
                                     ": " + span.note if span.note else "")
    label = "" if span.kind == "waiting" else "<span>%s</span>" % _text(span.label)
    return '<div class="span %s %s" style="left:%s;width:%s" title="%s">%s</div>' % (
        span.kind, more, _percent(span.begin, whole), _percent(span.end - span.begin, whole), _text(title), label)


def _moments(lane: Lane, whole: float) -> str:
    return "".join('<b class="moment %s" style="left:%s" title="%s">%s</b>' % (
        moment.kind, _percent(min(moment.at, whole), whole), _text("%s %s" % (_clock(moment.at, whole), moment.note)), SIGNS[moment.kind])
        for moment in lane.moments)


def _story(report: Facts, lanes: list[Lane], leaderships: list[Lane]) -> str:
    """Everything that was recorded, in words; what did not get through stands open."""
    whole = length(report)
    told = [_machine_story(report, lane.name, whole) for lane in lanes]
    for lane in leaderships:
        events = [event for event in report.get("events", []) if event.get("application") == lane.name]
        told.append(_details(lane.name, "", "", [(event["at"], event["event"], _leader(event)) for event in events], whole, False))
    return '<section class="story"><h2>What happened</h2>%s</section>' % "".join(told)


def _machine_story(report: Facts, host: str, whole: float) -> str:
    events = [event for event in report.get("events", []) if event.get("machine") == host]
    end, lines, said = report["machines"][host], [], ""
    for place, event in enumerate(events):
        msg, kind = event.get("msg") or "", event["event"]
        if kind == "phase" and event.get("percent") == 100:
            continue  # its beginning says how long it took
        # Requested, begun, done: the same reason need not be read three times.
        fresh = "" if msg == said or (kind == "turn" and end["why"] and end["why"] in msg) else msg
        said = msg
        if kind == "phase":
            over = next((later for later in events[place:] if later.get("phase") == event.get("phase") and later.get("percent") == 100), None)
            lines.append((event["at"], msg or str(event.get("phase")), _long(over["at"] - event["at"]) if over else ""))
        else:
            word = event["state"] if kind == "state" else TURNS.get(event["state"], event["state"]) if kind == "turn" else kind
            lines.append((event["at"], word, fresh))
    return _details(host, *_end(end), lines, whole, end["state"] not in ("done", "skipped"), end.get("why") or "")


def _details(name: str, shade: str, word: str, lines: list[tuple[float, str, str]], whole: float, opened: bool, why: str = "") -> str:
    rows = "".join("<tr><td>%s</td><td><em>%s</em> %s</td></tr>" % (_clock(at, whole, True), _text(head), _text(rest)) for at, head, rest in lines)
    return '<details%s><summary><b>%s</b> <span class="end %s">%s</span> %s</summary><table>%s</table></details>' % (
        " open" if opened else "", _text(name), shade, _text(word), _text(why), rows)


def _leader(event: Facts) -> str:
    leads = "%s leads in term %s" % (event["holder"], event["term"]) if event.get("holder") else ""
    return "; ".join(part for part in (leads, event.get("msg") if event["event"] != "leader" else "") if part)


def _end(end: Facts) -> tuple[str, str]:
    """How a machine ended: shade and words."""
    back = end["state"] == "failed" and end.get("watcher") == "ROLLED_BACK"
    shade = {"done": "good", "skipped": "soft", "halted": "soft", "waiting": "soft"}.get(end["state"], "bad")
    sign = {"good": "✓ ", "bad": "↩ " if back else "✕ "}.get(shade, "")
    held = end["state"] == "failed" and end.get("watcher") == "HELD"
    return shade, sign + ("rolled back" if back else "held, waits for a person" if held else ENDS.get(end["state"], end["state"]))


def _foot(report: Facts) -> str:
    return FOOT % {name: _text(report.get(name) or "unknown") for name in ("run", "session", "plan")}


def _step(whole: float) -> float:
    """Seconds between two ticks: the smallest usual step of which not too many fit."""
    return next((step for step in STEPS if whole / step <= TICKS), STEPS[-1] * (1 + whole // (STEPS[-1] * TICKS)))


def _percent(part: float, whole: float) -> str:
    return "%.3f%%" % (100.0 * part / whole)


def _clock(seconds: float, whole: float, exactly: bool = False) -> str:
    """A moment: m:ss, or h:mm:ss in a long run. EXACTLY: with tenths, where a run is so short that they matter."""
    minutes, rest = divmod(seconds, 60)
    if whole >= 3600:
        return "%d:%02d:%02d" % (minutes // 60, minutes % 60, int(rest))
    return "%d:%04.1f" % (minutes, int(rest * 10) / 10) if exactly and whole < 300 else "%d:%02d" % (minutes, int(rest))


def _long(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 10:
        return "%.1f s" % seconds
    if seconds < 60:
        return "%.0f s" % seconds
    minutes, rest = divmod(int(seconds), 60)
    return "%d min %02d s" % (minutes, rest) if minutes < 60 else "%d h %02d min" % (minutes // 60, minutes % 60)


def _when(stamp: str | None, after: str | None = None) -> str:
    """A stamp for people; without the day when AFTER has the same."""
    if not stamp:
        return ""
    moment = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")
    same = after is not None and after[:10] == stamp[:10]
    return moment.strftime("%H:%M:%S UTC" if same else "%-d %B %Y, %H:%M:%S")


def _text(value: t.Any) -> str:
    return html.escape(str(value))
