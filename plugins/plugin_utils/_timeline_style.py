# Copyright (c) 2026, the leasehold.series_upgrade authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the timeline looks, on a light and on a dark screen and on paper. Private room of the collection."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fbfaf8; --sheet: #fff; --ink: #22262a; --soft: #5d666e; --line: #e4e1db;
  --frozen: #1d6166; --warn: #8a5200; --warn-ground: #fbf0dd; --bad: #a52a20; --bad-ground: #fbe9e6;
  --good: #2f7a3d; --good-ground: #e6f3e8;
  --preparing: #c3c8cc; --draining: #edc06b; --upgrading: #3f76bd; --rebooting: #7d5fb2; --watching: #4c9d66; --held: #d98a2b;
  --back: #c4473b; --unknown: #a9b0b6; --on-light: #2b2410;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #16191b; --sheet: #1e2225; --ink: #e4e6e7; --soft: #9aa4ab; --line: #33393d;
    --frozen: #83cdd1; --warn: #efb865; --warn-ground: #352a17; --bad: #f09488; --bad-ground: #3a201d;
    --good: #7cc98a; --good-ground: #1b3322;
    --preparing: #8b949b; --draining: #d9a94e; --upgrading: #4f86cc; --rebooting: #8f72c4; --watching: #4a9663; --held: #cf8430;
    --back: #cc5448; --unknown: #6a7278;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.5rem 3rem; max-width: 84rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
}
header { display: flex; flex-wrap: wrap; align-items: flex-start; justify-content: space-between; gap: 0.5rem 2rem; }
h1 { margin: 0; font-size: 1.7rem; font-weight: 650; letter-spacing: -0.015em; }
h2 { margin: 0 0 0.75rem; font-size: 1.1rem; font-weight: 650; }
header p, .hint, footer { margin: 0; color: var(--soft); font-size: 0.9rem; }
header .verdict { padding: 0.3rem 0.9rem; border-radius: 99px; font-size: 0.95rem; font-weight: 650; }
.verdict.good { color: var(--good); background: var(--good-ground); }
.verdict.bad { color: var(--bad); background: var(--bad-ground); }
.tiles { display: flex; flex-wrap: wrap; gap: 0.4rem 2.25rem; margin: 1.1rem 0 1.75rem; padding: 0; list-style: none; color: var(--soft); font-size: 0.9rem; }
.tiles strong { display: block; color: var(--ink); font-size: 1.35rem; font-weight: 650; line-height: 1.3; }
.tiles .bad strong { color: var(--bad); }
.tiles .good strong { color: var(--good); }
section { margin-bottom: 1.75rem; padding: 1.1rem 1.3rem; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; }
.next { background: var(--warn-ground); border-color: transparent; }
.next h2 { margin-bottom: 0.3rem; color: var(--warn); }
.next ol { margin: 0; padding-left: 1.3rem; }

.row { display: grid; grid-template-columns: minmax(7rem, 13.5rem) 1fr minmax(7rem, 10.5rem); gap: 0 1rem; align-items: center; }
.row + .row.machine { border-top: 1px solid var(--line); }
h3 { margin: 0.9rem 0 0.25rem; color: var(--soft); font-size: 0.78rem; font-weight: 600; letter-spacing: 0.07em; text-transform: uppercase; }
.name, .end { padding: 0.3rem 0; line-height: 1.3; overflow-wrap: anywhere; }
.name b { font-size: 0.95rem; font-weight: 600; }
small { display: block; color: var(--soft); font-size: 0.8rem; }
small span { margin-right: 0.45em; white-space: nowrap; }
.leads { color: var(--frozen); font-weight: 600; }
.end { font-size: 0.88rem; }
.end.good { color: var(--good); } .end.bad { color: var(--bad); font-weight: 600; } .end.warn { color: var(--warn); } .end.soft { color: var(--soft); }
.end small { font-weight: 400; }
.lane {
  position: relative; align-self: stretch; min-height: 2.9rem; border-right: 1px solid var(--line);
  background: repeating-linear-gradient(to right, var(--line) 0 1px, transparent 1px var(--ticks));
}
.leadership .lane { min-height: 2rem; }
.axis { position: sticky; top: 0; z-index: 3; background: var(--sheet); }
.axis .lane { min-height: 1.5rem; background: none; border: 0; }
.axis time { position: absolute; bottom: 0.15rem; color: var(--soft); font-size: 0.78rem; transform: translateX(-50%); white-space: nowrap; }
.axis time:first-child { transform: none; }
.lane > * { position: absolute; }
i.frozen { top: 0; bottom: 0; background: color-mix(in srgb, var(--frozen) 13%, transparent); }
.span {
  top: 50%; height: 1.7rem; min-width: 3px; margin-top: -0.85rem; overflow: hidden; border-radius: 3px; container-type: inline-size;
  color: #fff; font-size: 0.78rem; line-height: 1.7rem; box-shadow: inset -1px 0 var(--sheet); print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.span span { display: block; padding: 0 0.5em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
@container (max-width: 3.8rem) { .span span { display: none; } }
.waiting { height: 0; margin-top: -1px; border-top: 2px dotted var(--unknown); border-radius: 0; box-shadow: none; }
.preparing { background: var(--preparing); color: var(--on-light); }
.draining { background: var(--draining); color: var(--on-light); }
.upgrading { background: var(--upgrading); }
.rebooting { background: var(--rebooting); }
.watching { background: var(--watching); }
.held { background: repeating-linear-gradient(135deg, var(--held) 0 8px, color-mix(in srgb, var(--held) 75%, #000) 8px 12px); }
.back { background: repeating-linear-gradient(-45deg, var(--back) 0 8px, color-mix(in srgb, var(--back) 80%, #000) 8px 12px); }
.unknown { background: repeating-linear-gradient(135deg, transparent 0 5px, var(--unknown) 5px 7px); color: var(--ink); border: 1px solid var(--unknown); }
.pinned, .stopped, .led { height: 1.3rem; margin-top: -0.65rem; line-height: 1.3rem; background: var(--frozen); color: var(--sheet); }
.stopped { background: repeating-linear-gradient(135deg, var(--frozen) 0 8px, var(--warn) 8px 12px); }
.led { border: 1px dashed var(--frozen); background: none; color: var(--frozen); line-height: 1.2rem; }
.stays { border-radius: 3px 0 0 3px; clip-path: polygon(0 0, calc(100% - 0.65rem) 0, 100% 50%, calc(100% - 0.65rem) 100%, 0 100%); }
.moment { top: 50%; z-index: 2; transform: translate(-50%, -50%); font-size: 0.72rem; font-weight: 700; text-align: center; }
.moment.good, .moment.back, .moment.bad, .moment.halted, .moment.change {
  width: 1.25rem; height: 1.25rem; border: 2px solid var(--sheet); border-radius: 50%; background: var(--good); color: var(--sheet); line-height: 1rem;
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
.moment.back, .moment.bad, .moment.change { background: var(--bad); }
.moment.halted { background: var(--soft); }
.moment.check, .moment.ill { top: calc(50% + 1.1rem); width: 0.4rem; height: 0.4rem; border-radius: 50%; background: var(--soft); }
.moment.ill { background: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.3rem; margin: 1rem 0 0; padding: 0; list-style: none; color: var(--soft); font-size: 0.83rem; }
.legend i { display: inline-block; position: static; width: 1.3rem; height: 0.8rem; margin: 0 0.45rem 0 0; border-radius: 2px; vertical-align: -0.05rem; }
.legend i.waiting { height: 0; vertical-align: 0.25rem; }

.story details { border-top: 1px solid var(--line); padding: 0.4rem 0; }
.story summary { cursor: pointer; color: var(--soft); }
.story summary b { color: var(--ink); font-weight: 600; }
.story .end { padding: 0 0.3rem; }
.story table { margin: 0.35rem 0 0.5rem 1rem; }
table { border-collapse: collapse; font-size: 0.86rem; }
td { padding: 0.1rem 1rem 0.1rem 0; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { color: var(--soft); text-align: right; white-space: nowrap; }
td em { font-style: normal; font-weight: 600; }
footer p { margin: 0.2rem 0; font-size: 0.8rem; }

@media (max-width: 46rem) {
  body { padding: 1rem 0.7rem; }
  section { padding: 0.8rem; }
  .row { grid-template-columns: 5.5rem 1fr 5.5rem; gap: 0 0.5rem; }
  .axis time:nth-child(even) { display: none; }
}
@media print {
  :root { color-scheme: light; --ground: #fff; --line: #ddd; }
  @page { size: A4 landscape; margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  section { padding: 0; border: 0; }
  .next { padding: 0.5rem 0.8rem; border: 1px solid var(--warn); }
  .axis { position: static; }
  .row, details, tr { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  i.frozen, .verdict, .next { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
