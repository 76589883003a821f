// The status page: reads /v1/events with the visitor's token and draws what it says. No library, no build.
"use strict";

const byId = (id) => document.getElementById(id);
const SILENCE = 25; // seconds; the endpoint speaks at least every 10

let token = takeToken();
let state = null; // what the endpoint said last
let heard = 0; // when that was, on performance.now()
let drawn = ""; // what is on the screen, without what changes with every renewal

// A link may carry the token behind "#": that part is never sent to a server. It does not stay in the address.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token");
}

function element(name, classes, ...content) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  made.append(...content.filter((part) => part !== null));
  return made;
}

// Times

const serverNow = () => state.now + (performance.now() - heard) / 1000;

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`;
}

const relative = {
  "in": (at) => `in ${span(at - serverNow())}`,
  ago: (at) => `${span(serverNow() - at)} ago`,
  expiry: (at) => (at > serverNow() ? `renewed for ${span(at - serverNow())}` : `ran out ${span(serverNow() - at)} ago`),
  late: (at) => `not renewed in time, ${span(serverNow() - at)} late`,
};

function moment(at, words) {
  const date = new Date(at * 1000);
  const made = element("time", words === "day" ? "" : "ticking");
  made.dateTime = date.toISOString();
  made.title = date.toLocaleString();
  made.dataset.at = at;
  made.dataset.words = words;
  made.textContent = words === "day" ? date.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }) : relative[words](at);
  return made;
}

const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

function tick() {
  if (state) for (const made of document.querySelectorAll("time.ticking")) made.textContent = relative[made.dataset.words](Number(made.dataset.at));
  if (state && (performance.now() - heard) / 1000 > SILENCE) line("lost", `no answer for ${span((performance.now() - heard) / 1000)}`);
}

// Drawing

function line(how, text) {
  byId("line").className = how;
  if (byId("line").textContent !== text) byId("line").textContent = text;
}

function application(lease) {
  const badges = [];
  const badge = (kind, text) => badges.push(element("span", `badge ${kind}`, text));
  if (lease.halted) badge("halted", "halted");
  if (lease.pinned) badge("pinned", "pinned");
  if (lease.overdue) badge("overdue", "overdue");
  if (lease.handover) badge("handover", `handing over from ${lease.handover.from}`);
  const freeze = lease.freeze;
  if (freeze) badge(freeze.wanted && freeze.confirmed ? "pinned" : "overdue", !freeze.wanted ? "thaw owed" : freeze.confirmed ? "frozen" : "being frozen");

  const expiry = lease.expires_at == null ? null : element("span", "expiry", moment(lease.expires_at, lease.overdue && lease.provider === "native" ? "late" : "expiry"));
  const made = element("li", "application", element("div", "head",
    element("h3", "", lease.application), leader(lease), lease.unreadable ? null : element("span", "term", `term ${lease.term}`),
    lease.provider === "native" ? null : element("span", "provider", lease.provider), ...badges, expiry));
  made.dataset.application = lease.application;
  if (lease.halted) {
    made.append(element("p", "note halt",
      element("strong", "", `The pin of ${lease.halted.pinner} lapsed `), moment(lease.halted.since, "ago"), ` (${lease.halted.reason}). `,
      "Nothing new can be pinned here until a person has looked and cleared the halt."));
  }
  if (lease.unreadable) made.append(element("p", "note trouble", element("strong", "", "Who leads is not known: "), lease.unreadable.msg));
  if (freeze && freeze.error) {
    made.append(element("p", "note trouble",
      element("strong", "", freeze.wanted ? "The freeze is in trouble: " : "It is frozen still, though nobody wants that: "), freeze.error,
      freeze.tries ? `. ${freeze.tries} ${freeze.tries === 1 ? "try" : "tries"} in vain; it will be tried again.` : "."));
  }
  for (const pin of lease.pins) made.append(note(pin, lease));
  if ((lease.members ?? []).length) made.append(members(lease));
  const others = lease.provider === "native" ? lease.units.filter((unit) => unit !== lease.holder) : [];
  if (others.length) made.append(element("p", "units", `${lease.holder === null ? "seen in the election" : "also in the election"}: ${others.join(", ")}`));
  return made;
}

function leader(lease) {
  if (lease.unreadable) return element("span", "leader none", "cannot be read");
  if (lease.holder === null) return element("span", "leader none", "no leader");
  return element("span", lease.overdue ? "leader late" : "leader", lease.overdue ? `kept for ${lease.holder}` : `${lease.holder} leads`);
}

const behind = (lag) => (lag >= 1e6 ? `, ${Math.round(lag / 1e6)} MB behind` : "");

// Units as their own system sees them.
function members(lease) {
  return element("ul", "members", ...lease.members.map((member) =>
    element("li", member.healthy ? "" : "ill", element("strong", "", member.unit), ` ${member.msg}${member.lag === null ? "" : behind(member.lag)}`)));
}

function note(pin, lease) {
  const facts = element("dl", "");
  const fact = (name, ...value) => facts.append(element("dt", "", name), element("dd", "", ...value));
  fact("why", pin.reason);
  fact("since", clock(pin.since), ", ", moment(pin.since, "ago"));
  fact("until", clock(pin.until), ", ", moment(pin.until, "in"));
  if (lease.capabilities && lease.capabilities.scope === "cluster") fact("holds", (lease.capabilities.notes ?? [])[0] ?? "its whole cluster");
  fact("found", `${pin.holder === null ? "no leader" : pin.holder} in term ${pin.term}`,
    lease.unreadable ? "" : pin.term === lease.term ? "; unchanged" : element("strong", "", `; now term ${lease.term}`));
  return element("div", "note pin", "pinned by ", element("strong", "", pin.pinner), facts);
}

const owed = (lease) => lease.freeze && !lease.freeze.wanted;
const urgency = (lease) => (lease.halted ? 0 : lease.overdue || lease.unreadable || owed(lease) || lease.holder === null ? 1 : lease.pinned ? 2 : 3);

function lines(id, entries, text) {
  byId(id).hidden = entries.length === 0;
  byId(id).querySelector("ol").replaceChildren(...entries.map((entry) =>
    element("li", "", moment(entry.at ?? entry.lapsed_at, "day"), element("span", "", text(entry)))));
}

// Renewals move only times: then the times are moved, and a marked text stays marked.
function draw() {
  const moving = ["now", "expires_at", "expires_in", "renewed_at", "until", "until_in", "session_seen_in", "read_ago", "next_try_in"];
  const shape = JSON.stringify(state, (key, value) => (moving.includes(key) ? undefined : key === "lag" && value !== null ? behind(value) : value));
  const leases = [...state.leases].sort((a, b) => urgency(a) - urgency(b) || a.application.localeCompare(b.application, undefined, { numeric: true }));
  if (shape !== drawn) {
    drawn = shape;
    byId("applications").replaceChildren(...leases.map(application));
    byId("empty").hidden = leases.length > 0;
    lines("lapsed", state.tombstones.slice(0, 20), (stone) => `${stone.application}: ${stone.pinner} (${stone.reason})`);
    lines("history", state.history, (entry) => entry.msg);
    const count = (what) => leases.filter(what).length;
    const parts = [`${leases.length} ${leases.length === 1 ? "application" : "applications"}`, `${count((l) => l.pinned)} pinned`];
    if (count((l) => l.halted)) parts.push(`${count((l) => l.halted)} halted`);
    if (count((l) => l.holder === null)) parts.push(`${count((l) => l.holder === null)} without leader`);
    if (count((l) => l.unreadable)) parts.push(`${count((l) => l.unreadable)} not readable`);
    byId("summary").textContent = parts.join(" · ");
    document.title = count((l) => l.halted) ? `(${count((l) => l.halted)} halted) Leases` : "Leases";
  } else {
    const made = byId("applications").children;
    leases.forEach((lease, place) => {
      const times = [...lease.pins.map((pin) => pin.until)];
      for (const time of made[place].querySelectorAll(".expiry time")) time.dataset.at = lease.expires_at;
      made[place].querySelectorAll('time[data-words="in"]').forEach((time, which) => {
        time.dataset.at = times[which];
        time.previousSibling.previousSibling.textContent = clock(times[which]);
      });
    });
    tick();
  }
}

// Listening

function received(kind, data) {
  heard = performance.now();
  byId("trouble").hidden = kind === "state";
  if (kind === "state") {
    state = data;
    line("live", "live");
    byId("house").hidden = false;
    draw();
  } else {
    line("lost", "state unknown");
    byId("house").hidden = false;
    byId("trouble").textContent = data.msg;
  }
}

async function listen() {
  const answer = await fetch("v1/events", { headers: { Authorization: `Bearer ${token}`, "Lease-Protocol": "1" }, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) return ask((await answer.json()).msg);
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the endpoint closed the line");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((part) => [part.slice(0, part.indexOf(":")), part.slice(part.indexOf(":") + 2)]));
      received(fields.event, JSON.parse(fields.data));
    }
  }
}

async function stay() {
  byId("door").hidden = true;
  while (token) {
    try {
      await listen();
    } catch (trouble) {
      line("lost", `no answer, trying again`);
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

function ask(refusal) {
  token = null;
  sessionStorage.removeItem("token");
  byId("house").hidden = true;
  byId("door").hidden = false;
  byId("refusal").textContent = refusal;
  line("", "");
  byId("token").focus();
}

byId("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  sessionStorage.setItem("token", token);
  byId("token").value = "";
  stay();
});
setInterval(tick, 1000);
if (token) stay(); else ask("");
