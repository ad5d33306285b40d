// The board: what a fleet does, kept up to date by /events. It reads only.
//
// Whatever sessions have written is hostile: it gets into the page as the text of a text node, never as markup, a URL or
// a style, and without characters that cannot be seen. The policy of the page (CSP) forbids everything else once more.
"use strict";

const API = "/coordinator.v1.CoordinatorService/";
const PAGE = 1000, MOST_HELD = 20000, MOST_OTHERS = 1000, ROWS = 25;
const LOOK_BACK = [3000, 300, 0]; // revisions whose events are read at the start, for the plot and the denials, if the store has them
const MINUTES = 30, BUCKET_MS = 60000, MOST_DENIALS = 100, REFRESH_MS = 15000;
const $ = (id) => document.getElementById(id);

const snapshotElement = $("snapshot");
const frozen = snapshotElement ? JSON.parse(snapshotElement.textContent) : null;
const wanted = new URLSearchParams(location.search);
const world = {
  fleet: (frozen && frozen.fleet) || wanted.get("fleet") || "default", fleets: [], status: null, held: new Map(), loose: [], pool: null, failed: [],
  wantedBy: new Map(), denials: [], buckets: new Map(), offset: 0, revision: 0, from: 0, more: {}, partial: false,
};
const view = {
  filter: wanted.get("q") || "", kind: wanted.get("kind") || "", sort: "left", down: false,
  shown: { held: ROWS, pool: 8, loose: 5, failed: 5 },
};
let token = sessionGet("token"), source = null, dirty = new Set(), generation = 0;

// --- Text -------------------------------------------------------------------------------------------------------

// Control, format, private and unassigned characters, and all that ends a line or changes its direction.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\u115F\u1160\u3164\uFFA0\u{E0100}-\u{E01EF}\uFE00-\uFE0F]/gu;
const seen = (text, most = 300) => {
  const clean = String(text ?? "").replace(/[\n\t]+/g, " ").replace(UNSEEN, "\uFFFD");
  return clean.length > most ? `${clean.slice(0, most)}…` : clean;
};

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "className") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// Draw a part of the page anew; what had the focus there has it again.
function redraw(place, ...children) {
  const all = (name) => [...place.querySelectorAll("[data-name]")].filter((each) => each.dataset.name === name);
  const active = place.contains(document.activeElement) ? document.activeElement : null, name = active && active.dataset.name;
  const index = name ? all(name).indexOf(active) : 0;
  place.replaceChildren(...children);
  if (name) (all(name)[index] || all(name)[0])?.focus({ preventScroll: true });
}

// Words of a session, kept apart from the text around them whatever their direction.
const words = (text, most) => element("bdi", {}, seen(text, most));

const now = () => (frozen ? frozen.at : Date.now() + world.offset);
const ms = (time) => (time ? Date.parse(time) : NaN);

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole < 600 ? `${whole % 60} s` : ""}`.trim();
  if (whole < 172800) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} days`;
}
function ago(time) {
  const seconds = (now() - ms(time)) / 1000;
  return Number.isNaN(seconds) ? "" : `${seconds < 60 ? span(seconds) : span(60 * Math.floor(seconds / 60)).replace(/ 0 s$/, "")} ago`;
}
const many = (count) => Number(count || 0).toLocaleString("en");

// --- Talking to the coordinator -----------------------------------------------------------------------------------

function sessionGet(name) { try { return sessionStorage.getItem(`board-${name}`) || ""; } catch { return ""; } }
function sessionSet(name, value) { try { sessionStorage.setItem(`board-${name}`, value); } catch { /* not kept */ } }

class Refused extends Error {
  constructor(status, body) {
    super(body.message || `HTTP ${status}`);
    this.status = status;
    this.code = body.code;
  }
}

function headers(more = {}) {
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

async function call(method, request) {
  const response = await fetch(API + method, {
    method: "POST", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer",
    headers: headers({ "Content-Type": "application/json", "Connect-Timeout-Ms": "10000" }),
    body: JSON.stringify({ fleet: world.fleet, ...request }),
  });
  const date = Date.parse(response.headers.get("Date"));
  // The header has whole seconds.
  if (date) world.offset = Math.abs(date + 500 - Date.now()) > 2000 ? date + 500 - Date.now() : 0;
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

async function pages(method, request, field, most, came = () => {}) {
  const found = [];
  let first = null, page_token = "";
  do {
    const answer = await call(method, { ...request, pageSize: PAGE, pageToken: page_token });
    first ??= answer;
    found.push(...(answer[field] || []));
    came(found);
    page_token = answer.nextPageToken || "";
  } while (page_token && found.length < most);
  return { found, first, more: Boolean(page_token) };
}

async function load() {
  const mine = ++generation;
  stop();
  const came = (found) => { // a part of the list is shown before all of it has come
    if (mine !== generation) return;
    world.held = new Map(found.map((record) => [record.workKey, record]));
    state("", `reading: ${many(found.length)} claims …`);
    mark("held", "figures");
  };
  try {
    const [held] = await Promise.all([
      pages("List", { states: ["STATE_CLAIMED"] }, "records", MOST_HELD, came), refresh(mine, true), fleets(),
    ]);
    if (mine !== generation) return;
    world.more.held = held.more;
    world.revision = world.from = Number(held.first.revision);
    world.denials = [];
    world.buckets = new Map();
    complain("");
    render();
    listen(mine, Math.max(1, world.revision + 1 - LOOK_BACK[0]));
  } catch (error) {
    if (mine === generation) failed(error, () => load());
  }
}

// What no event tells: read again now and then.
async function refresh(mine, first = false) {
  try {
    const [status, loose, hot, pool, gone] = await Promise.all([
      call("Status", { progress: true }),
      pages("List", { states: ["STATE_ABANDONED"] }, "records", MOST_OTHERS),
      call("Hot", { limit: 100 }),
      call("ListPool", { pageSize: 200, states: ["STATE_AVAILABLE", "STATE_BLOCKED", "STATE_RETURNED"] }),
      call("ListPool", { pageSize: 200, states: ["STATE_FAILED"] }),
    ]);
    if (mine !== generation) return;
    world.status = status;
    world.loose = loose.found.filter((record) => !record.acknowledgedAt);
    world.more.loose = loose.more;
    world.wantedBy = new Map((hot.entries || []).map((entry) => [entry.workKey, Number(entry.contenders || 0)]));
    world.pool = pool;
    world.failed = gone.entries || [];
    mark("figures", "progress", "pool", "loose", "failed", "held");
  } catch (error) {
    if (first) throw error;
    if (mine === generation) failed(error);
  }
}

async function fleets() {
  const answer = await call("ListFleets", {}).catch(() => ({}));
  world.fleets = (answer.fleets || []).map((use) => use.name);
}

function failed(error, again) {
  if (error instanceof Refused && error.status === 401) {
    stop();
    $("sign-in").hidden = false;
    $("token").focus();
    state("lost", "a credential is needed");
    complain(token ? error.message : "");
    return;
  }
  state("lost", "not connected; trying again");
  complain(error instanceof Refused ? error.message : "The coordinator does not answer. What is shown may be out of date.");
  if (again) setTimeout(again, 3000);
}

// --- Events -------------------------------------------------------------------------------------------------------

function stop() {
  if (source) source.abort();
  source = null;
}

async function listen(mine, start, pause = 1000) {
  const aborting = (source = new AbortController());
  let next = start;
  try {
    const response = await fetch(`/events?fleet=${encodeURIComponent(world.fleet)}&start_revision=${next}`, {
      headers: headers(), signal: aborting.signal, cache: "no-store", credentials: "omit",
    });
    if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
    state("live", "live");
    complain("");
    for await (const event of parsed(response.body)) {
      if (mine !== generation) return;
      if (event.name === "end") throw new Refused(503, event.data);
      if (event.id) next = Number(event.id);
      if (!event.name) happened(event.data);
      pause = 1000;
    }
    throw new Error("the stream has ended");
  } catch (error) {
    if (mine !== generation || aborting.signal.aborted) return;
    if (error instanceof Refused && error.code === "out_of_range") {
      // So far back nothing is remembered: less far, or from the list on, or all anew.
      const back = LOOK_BACK.find((each) => world.revision + 1 - each > next);
      if (back === undefined) setTimeout(load, pause);
      else listen(mine, world.revision + 1 - back);
      return;
    }
    failed(error);
    if ($("sign-in").hidden) setTimeout(() => mine === generation && listen(mine, next, Math.min(pause * 2, 30000)), pause);
  }
}

async function* parsed(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = {};
      for (const line of block.split("\n")) {
        if (line.startsWith("data: ")) event.data = JSON.parse(line.slice(6));
        else if (line.startsWith("event: ")) event.name = line.slice(7);
        else if (line.startsWith("id: ")) event.id = line.slice(4);
      }
      if (event.data) yield event;
    }
  }
}

const seenEvents = new Set();

function happened(event) {
  const record = event.record || {}, key = record.workKey, revision = Number(event.revision);
  const name = [revision, event.event, key, event.contender].join(" ");
  if (seenEvents.has(name)) return; // sent again after a break
  seenEvents.add(name);
  if (seenEvents.size > 5000) seenEvents.delete(seenEvents.values().next().value);
  if (event.event === "EVENT_GRANTED" || event.event === "EVENT_DENIED") count(event);
  if (event.event === "EVENT_DENIED") denied(event);
  if (revision <= world.revision) return; // the list has it
  world.revision = revision;
  if (event.event === "EVENT_GRANTED" || event.event === "EVENT_RENEWED") {
    world.held.set(key, { ...record, fresh: event.event === "EVENT_GRANTED" });
    world.loose = world.loose.filter((each) => each.workKey !== key);
  } else if (event.event === "EVENT_COMPLETED" || event.event === "EVENT_ABANDONED") {
    world.held.delete(key);
    world.wantedBy.delete(key);
    if (event.event === "EVENT_ABANDONED") world.loose = [record, ...world.loose.filter((each) => each.workKey !== key)];
  } else if (event.event === "EVENT_DENIED") {
    world.wantedBy.set(key, (world.wantedBy.get(key) || 0) + 1);
  }
  mark("held", "figures", "loose");
  if (event.event !== "EVENT_RENEWED") soon();
}

function count(event) {
  const at = ms(event.at);
  if (Number.isNaN(at)) return;
  const bucket = Math.floor(at / BUCKET_MS);
  const counted = world.buckets.get(bucket) || { granted: 0, denied: 0 };
  counted[event.event === "EVENT_DENIED" ? "denied" : "granted"] += 1;
  world.buckets.set(bucket, counted);
  mark("convergence", "figures");
}

function denied(event) {
  world.denials.unshift({ key: event.record.workKey, kind: event.record.kind, who: event.contender, holder: event.holder, at: event.at, fresh: Number(event.revision) > world.from });
  world.denials.length = Math.min(world.denials.length, MOST_DENIALS);
  mark("denials");
}

let refreshing = 0;
function soon() { // several events, one look
  if (!refreshing) refreshing = setTimeout(() => { refreshing = 0; refresh(generation); }, 3000);
}

// --- Showing ------------------------------------------------------------------------------------------------------

let drawing = 0;
function mark(...parts) {
  parts.forEach((part) => dirty.add(part));
  if (!drawing) drawing = setTimeout(() => requestAnimationFrame(draw), 150);
}
function draw() {
  drawing = 0;
  const parts = dirty;
  dirty = new Set();
  if (parts.has("held")) choices();
  for (const part of parts) painters[part]();
}
function render() {
  choices();
  mark("figures", "progress", "convergence", "denials", "held", "pool", "loose", "failed");
}

function state(name, text) {
  $("state").className = `state ${name}`;
  $("state").textContent = text;
}
function complain(text) {
  $("problem").hidden = !text;
  $("problem").textContent = seen(text);
}

function passes(entry) {
  if (view.kind && entry.kind !== view.kind) return false;
  if (!view.filter) return true;
  const sought = view.filter.toLowerCase();
  return [entry.workKey, entry.key, entry.session, entry.holder, entry.who, entry.note, entry.reason]
    .some((text) => text && text.toLowerCase().includes(sought));
}

function recent() {
  const last = Math.floor(now() / BUCKET_MS), found = [];
  for (let bucket = last - MINUTES + 1; bucket <= last; bucket++) found.push({ bucket, ...(world.buckets.get(bucket) || { granted: 0, denied: 0 }) });
  return found;
}

const painters = {
  figures() {
    const status = world.status || {}, pool = (status.progress && status.progress.pool) || (world.pool && world.pool.counts) || {};
    const rate = share();
    const figures = [
      ["held", "held", many(world.held.size) + (world.more.held ? "+" : "")],
      ["pool", "free in pool", many(pool.available)],
      ["pool", "blocked", many(Number(pool.blocked || 0) + Number(pool.returned || 0))],
      ["failed", "failed", many(pool.failed), Number(pool.failed) ? "bad" : ""],
      ["loose", "loose ends", many(status.looseEnds ?? world.loose.length), Number(status.looseEnds) ? "warn" : ""],
      ["convergence", "claims denied", rate === null ? "–" : `${Math.round(100 * rate)} %`],
    ];
    redraw($("figures"), ...figures.map(([part, name, value, kind]) =>
      element("div", { className: kind }, element("dt", {}, element("a", { href: `#${part}`, "data-name": part }, name)), element("dd", {}, value))));
    document.title = [Number(pool.failed) ? `${many(pool.failed)} failed` : "", `${many(world.held.size)} held`, world.fleet].filter(Boolean).join(" · ");
  },

  // Why does nothing progress: when work was last granted and completed, and what most of it waits for.
  progress() {
    const status = world.status || {}, progress = status.progress || {}, parts = [];
    const longest = (progress.longestHeld || [])[0], blocker = (progress.poolBlockers || [])[0];
    const say = (name, ...text) => parts.push(element("span", {}, element("span", { className: "quiet" }, `${name} `), ...text));
    if (progress.lastGrant) say("Last granted", ago(progress.lastGrant));
    if (progress.lastGrant || progress.lastCompletion) say("Last completed", progress.lastCompletion ? ago(progress.lastCompletion) : "nothing lately");
    if (longest) say("Held longest", keyButton(longest), ` for ${span((now() - ms(longest.claimedAt)) / 1000)}`);
    if (blocker) say("The pool waits most for", keyButton(blocker), blocker.holder ? element("span", {}, ", held by ", words(blocker.holder, 128)) : blockerState(blocker));
    $("progress").hidden = !parts.length;
    redraw($("progress"), ...parts);
  },

  convergence() {
    const buckets = recent(), granted = sum(buckets, "granted"), refused = sum(buckets, "denied");
    $("convergence-words").textContent = granted + refused
      ? `In ${MINUTES} minutes ${many(granted)} claims were granted and ${many(refused)} denied. Each denial is work that was not begun twice.`
      : `In ${MINUTES} minutes nothing was claimed.`;
    $("plot").replaceChildren(plot(buckets));
  },

  denials() {
    const shown = world.denials.filter(passes);
    announce(shown.filter((each) => each.fresh));
    redraw($("denials-list"), ...(shown.length ? shown.map(denial) : [element("li", { className: "empty" }, world.denials.length ? "No denial passes the filter." : "No session was denied lately.")]));
    world.denials.forEach((each) => { each.fresh = false; });
  },

  held() {
    const rows = [...world.held.values()].filter(passes).sort(order);
    table("held", "Held", rows, world.held.size, [
      ["Work", "key"], ["Held by", "session"], ["Time left", "left"], ["Held for", "since", "number"], ["Denied", "denied", "number"],
    ], (record) => [
      keyCell(record, record.note), cell("who", words(record.session)), leftCell(record),
      cell("number", element("span", { title: record.claimedAt }, Number.isNaN(ms(record.claimedAt)) ? "" : span((now() - ms(record.claimedAt)) / 1000)), "Held for"),
      cell("number", world.wantedBy.get(record.workKey) ? many(world.wantedBy.get(record.workKey)) : "", "Denied"),
    ], frozen ? "Nothing was held." : ["Nothing is held. What sessions claim appears here at once.", ...firstClaim()]);
    for (const record of rows) record.fresh = false;
  },

  pool() {
    const entries = ((world.pool && world.pool.entries) || []).filter(passes);
    const counts = (world.pool && world.pool.counts) || {};
    const all = Number(counts.available || 0) + Number(counts.blocked || 0) + Number(counts.returned || 0);
    table("pool", "Pool", entries, all, [["Next", null], ["State", null]], (entry) => [
      keyCell(entry, entry.blockedBy ? `waits for ${entry.blockedBy.join(", ")}` : ""),
      cell("", element("span", { className: "tag" }, poolState(entry))),
    ], "The pool is empty: no work was submitted, or all of it is taken.");
  },

  loose() {
    table("loose", "Loose ends", world.loose.filter(passes), Number((world.status || {}).looseEnds ?? world.loose.length), [["Abandoned", null], ["When", null, "number"]], (record) => [
      keyCell(record, [cause(record), record.reason || record.note].filter(Boolean).join(": "), record.session),
      cell("number when", ago(record.endedAt)),
    ], "No work was left behind.");
  },

  failed() {
    table("failed", "Failed work", world.failed.filter(passes), world.failed.length, [["Work", null], ["Failed", null, "number"]], (entry) => [
      keyCell(entry, [`${many(entry.failureCount)} attempts failed`, lastReason(entry)].filter(Boolean).join(": ")),
      cell("number when", ago(entry.failedAt)),
    ], "No work has failed too often.");
  },
};

// What to type where a fleet has nothing yet.
function firstClaim() {
  if (!world.status || world.loose.length || world.buckets.size || world.failed.length || Number(world.status.completed)) return [];
  const fleet = world.fleet === "default" ? "" : ` --fleet ${world.fleet}`;
  return [" Claim the first work:", element("code", {}, `coordination work-claim --session session-1 task:first${fleet}`)];
}

// Why work failed is what its last session said as it gave it back.
const lastReason = (entry) => (world.loose.find((record) => record.workKey === entry.workKey) || {}).reason || "";

let announced = -Infinity;
function announce(fresh) { // to screen readers, which must not be talked to all the time
  if (!fresh.length || Date.now() - announced < 10000) return;
  announced = Date.now();
  $("news").textContent = seen(fresh.length > 1 ? `${many(fresh.length)} new denials` : `${fresh[0].who} was denied ${fresh[0].key}`);
}

const sum = (buckets, name) => buckets.reduce((total, each) => total + each[name], 0);

function share() {
  const buckets = recent(), granted = sum(buckets, "granted"), refused = sum(buckets, "denied");
  if (granted + refused) return refused / (granted + refused);
  const rate = world.status && world.status.convergenceRate;
  return rate && rate.value !== undefined ? rate.value : null;
}

const blockerState = (blocker) => (blocker.unknown ? ", of which nothing is known" : ({
  STATE_AVAILABLE: ", which is free", STATE_BLOCKED: ", which is blocked too", STATE_RETURNED: ", which was given back", STATE_FAILED: ", which has failed",
}[blocker.state] || ""));
const poolState = (entry) => ({
  STATE_AVAILABLE: "free", STATE_BLOCKED: "blocked",
  STATE_RETURNED: ms(entry.notBefore) > now() ? `free in ${span((ms(entry.notBefore) - now()) / 1000)}` : "given back",
}[entry.state] || "");
const cause = (record) => ({ CAUSE_EXPIRED: "expired", CAUSE_RELEASED: "given back", CAUSE_REVOKED: "revoked" }[record.cause] || "");

function order(one, other) {
  const by = {
    key: (each) => each.workKey, session: (each) => each.session || "", left: (each) => ms(each.expiresAt) || Infinity,
    since: (each) => ms(each.claimedAt) || 0, denied: (each) => -(world.wantedBy.get(each.workKey) || 0),
  }[view.sort];
  const a = by(one), b = by(other), turn = view.down ? -1 : 1;
  return a < b ? -turn : a > b ? turn : one.workKey < other.workKey ? -1 : 1;
}

// The tables stay tables to screen readers where narrow screens show them as blocks: the roles are named.
function table(id, title, rows, all, columns, cells, nothing) {
  const section = $(id), place = section.querySelector(".holds");
  section.querySelector("h2").replaceChildren(`${title} `, element("span", { className: "count" }, rows.length === all || !(view.filter || view.kind) ? many(all) : `${many(rows.length)} of ${many(all)}`));
  section.classList.toggle("none", !rows.length);
  if (!rows.length) {
    place.replaceChildren(element("p", { className: "empty" }, ...(view.filter || view.kind ? ["Nothing passes the filter."] : [nothing].flat())));
    return;
  }
  const shown = rows.slice(0, view.shown[id]);
  const head = element("tr", { role: "row" }, ...columns.map(([name, sort, kind]) => header(name, sort, kind)));
  const body = shown.map((row) => element("tr", { role: "row", className: row.fresh ? "new" : null }, ...cells(row)));
  const made = element("table", { role: "table", "aria-labelledby": `${id}-title`, "aria-rowcount": String(rows.length + 1) },
    element("thead", { role: "rowgroup" }, head), element("tbody", { role: "rowgroup" }, ...body));
  const left = rows.length - shown.length;
  const more = left > 0 ? element("button", { type: "button", className: "more", "data-name": "more", onclick: () => { view.shown[id] += id === "held" ? 200 : 50; mark(id); } },
    `Show more (${many(left)} left)`) : null;
  redraw(place, made, ...(more ? [more] : []));
}

function header(name, sort, kind) {
  if (!sort) return element("th", { role: "columnheader", scope: "col", className: kind }, name);
  const mine = view.sort === sort;
  return element("th", { role: "columnheader", scope: "col", className: kind, "aria-sort": mine ? (view.down ? "descending" : "ascending") : null },
    element("button", { type: "button", "data-name": `sort ${sort}`, onclick: () => { view.down = mine && !view.down; view.sort = sort; mark("held"); } },
      name, mine ? (view.down ? " ↓" : " ↑") : ""));
}

const cell = (kind, content, label) => element("td", { role: "cell", className: kind || null, "data-label": label || null }, content);

const keyButton = (entry) => element("button", { type: "button", className: "key", "data-name": entry.workKey, "aria-haspopup": "dialog", onclick: () => details(entry) }, words(entry.workKey));

function keyCell(entry, more = "", who = "") {
  const button = keyButton(entry);
  const line = more || who ? element("span", { className: "note" }, who ? words(who) : "", who && more ? " · " : "", more ? words(more) : "") : "";
  return element("td", { role: "cell" }, button, line);
}

function leftCell(record) {
  const ends = ms(record.expiresAt), begun = ms(record.claimedAt);
  const made = element("td", { role: "cell", className: "left", title: record.expiresAt });
  if (Number.isNaN(ends)) return made;
  made.dataset.ends = ends;
  made.dataset.whole = Math.max(1000, ends - (Number.isNaN(begun) ? ends - 3600000 : begun));
  made.append(element("span"), element("div", { className: "meter", "aria-hidden": "true" }, element("i")));
  tick(made);
  return made;
}

function tick(made) {
  const left = Number(made.dataset.ends) - now(), part = Math.min(1, Math.max(0, left / Number(made.dataset.whole)));
  made.classList.toggle("soon", left > 0 && (left < 60000 || part < 0.1));
  made.classList.toggle("over", left <= 0);
  made.firstChild.textContent = left > 0 ? span(left / 1000) : "over its time";
  made.querySelector("i").style.width = `${100 * part}%`;
}

function denial(each) {
  return element("li", { className: each.fresh ? "new" : null },
    element("time", { datetime: each.at }, ago(each.at)),
    keyButton({ workKey: each.key }),
    element("span", { className: "who" }, words(each.who, 128), " was denied", each.holder ? "; held by " : "", each.holder ? words(each.holder, 128) : ""));
}

const nice = (value) => [4, 10, 20, 40, 100, 200, 400, 1000, 2000, 4000, 10000, 20000, 40000, 100000].find((each) => each >= value) || value;

function plot(buckets) {
  const NS = "http://www.w3.org/2000/svg", W = Math.max(260, $("plot").clientWidth), H = 168, left = 34, bottom = 20, top = 8, right = 40;
  const most = nice(Math.max(...buckets.map((each) => each.granted + each.denied)));
  const wide = (W - left - right) / buckets.length, tall = H - top - bottom;
  const svg = (name, properties, text) => {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const y = (value) => top + tall * (1 - value / most);
  const granted = sum(buckets, "granted"), refused = sum(buckets, "denied");
  const made = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": `Claims in the last ${MINUTES} minutes: ${granted} granted, ${refused} denied` });
  for (const value of [0, most / 2, most]) {
    made.append(svg("line", { class: "axis", x1: left, x2: W - right, y1: y(value), y2: y(value) }));
    made.append(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value));
    made.append(svg("text", { x: W - right + 6, y: y(value) + 4 }, `${(100 * value) / most} %`));
  }
  let line = "";
  const dots = [];
  buckets.forEach((each, index) => {
    const x = left + index * wide, all = each.granted + each.denied;
    if (each.granted) made.append(svg("rect", { class: "granted", x: x + 1, width: wide - 2, y: y(each.granted), height: y(0) - y(each.granted) }));
    if (each.denied) made.append(svg("rect", { class: "denied", x: x + 1, width: wide - 2, y: y(all), height: y(each.granted) - y(all) }));
    if (!all) return;
    const at = [(x + wide / 2).toFixed(1), (top + tall * (1 - each.denied / all)).toFixed(1)];
    line += `${line ? "L" : "M"}${at.join(" ")}`;
    dots.push(svg("circle", { class: "dot", cx: at[0], cy: at[1], r: 3 }));
  });
  if (line) made.append(svg("path", { class: "rate", d: line }), ...dots);
  [[0, `${MINUTES} min ago`, "start"], [MINUTES / 2, `${MINUTES / 2} min`, "middle"], [MINUTES, "now", "end"]].forEach(([at, text, anchor]) =>
    made.append(svg("text", { x: left + at * wide, y: H - 4, "text-anchor": anchor }, text)));
  return made;
}

// What a file that was written knows of a piece of work.
function kept(entry) {
  const named = (each) => each.workKey === entry.workKey;
  return {
    record: entry.session ? entry : world.held.get(entry.workKey) || world.loose.find(named),
    work: ((world.pool && world.pool.entries) || []).find(named) || world.failed.find(named),
  };
}

async function details(entry) {
  $("details-title").replaceChildren(words(entry.workKey, 600));
  const body = $("details-body");
  body.replaceChildren(element("p", { className: "quiet" }, "reading …"));
  if (!$("details").open) $("details").showModal();
  let found = frozen && kept(entry);
  if (!frozen) {
    try {
      found = await call("Get", { workKey: entry.workKey });
    } catch (error) {
      body.replaceChildren(element("p", { className: "problem" }, seen(error.message)));
      return;
    }
  }
  const record = found.record || {}, work = found.work || {};
  const rows = [
    ["State", (record.state || "").replace("STATE_", "").toLowerCase()], ["Session", record.session], ["Attempt", record.attempt],
    ["Fencing token", record.fencingToken], ["Claimed", stamp(record.claimedAt)], ["Expires", stamp(found.claim ? found.claim.expiresAt : record.expiresAt)],
    ["Ended", stamp(record.endedAt)], ["Cause", cause(record)], ["Note", record.note], ["Reason", record.reason], ["Result", record.result],
    ["Denied", (found.contenders || []).join(", ")], ["Brief", work.brief], ["Priority", work.priority], ["Waits for", (work.blockedBy || []).join(", ")],
  ].filter(([, value]) => value);
  const history = (found.history || []).slice(-10).reverse().map((each) => element("li", {},
    `attempt ${seen(each.attempt)} by `, words(each.session, 128), `: ${seen((each.ended || "").replace("STATE_", "").toLowerCase())} ${ago(each.endedAt)} `,
    element("span", { className: "note" }, words(each.result || each.reason || each.note || "", 500))));
  body.replaceChildren(
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, words(value, 4000))])),
    ...(history.length ? [element("h2", {}, "Earlier attempts"), element("ol", { className: "feed" }, ...history)] : []));
}
const stamp = (time) => (time ? `${new Date(time).toISOString().replace("T", " ").slice(0, 19)} UTC` : "");

// --- Controls -----------------------------------------------------------------------------------------------------

// Only what changes is drawn anew: a list that is open would be closed.
function choose(select, values, chosen, name = (value) => value) {
  if (select.dataset.values === values.join("\n")) return;
  select.dataset.values = values.join("\n");
  select.replaceChildren(...values.map((value) => element("option", { value, selected: value === chosen }, seen(name(value)))));
}

function choices() {
  choose($("fleet"), [...new Set([world.fleet, ...world.fleets])].sort(), world.fleet);
  const kinds = new Set(["", view.kind, ...[...world.held.values(), ...world.loose, ...((world.pool && world.pool.entries) || []), ...world.failed].map((each) => each.kind || "")]);
  choose($("kind"), [...kinds].sort(), view.kind, (kind) => kind || "all");
}

function remember() {
  const query = new URLSearchParams();
  if (world.fleet !== "default") query.set("fleet", world.fleet);
  if (view.kind) query.set("kind", view.kind);
  if (view.filter) query.set("q", view.filter);
  if (!frozen) history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

const THEMES = ["system", "light", "dark"];
function theme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").textContent = `Theme: ${name}`;
  sessionSet("theme", name);
}

function begin() {
  $("filter").value = view.filter;
  $("filter").addEventListener("input", () => { view.filter = $("filter").value; remember(); render(); });
  $("kind").addEventListener("change", () => { view.kind = $("kind").value; remember(); render(); });
  $("fleet").addEventListener("change", () => { world.fleet = $("fleet").value; remember(); load(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(sessionGet("theme") || "system") + 1) % THEMES.length]));
  theme(THEMES.includes(sessionGet("theme")) ? sessionGet("theme") : "system");
  $("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    token = $("token").value.trim();
    sessionSet("token", token);
    $("sign-in").hidden = true;
    load();
  });
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement.tagName);
    if (event.key === "/" && !typing) { event.preventDefault(); $("filter").focus(); }
    if (event.key === "Escape" && document.activeElement === $("filter")) { $("filter").value = view.filter = ""; remember(); render(); }
  });
  addEventListener("resize", () => mark("convergence"));
  if (frozen) {
    for (const name of ["status", "loose", "pool", "failed", "denials", "fleets", "more"]) world[name] = frozen[name];
    $("fleet").disabled = true;
    world.held = new Map(frozen.held.map((record) => [record.workKey, record]));
    world.wantedBy = new Map(frozen.wantedBy);
    for (const event of frozen.counted) count(event);
    state("", `as it was on ${stamp(new Date(frozen.at).toISOString())}`);
    render();
    draw();
    return;
  }
  setInterval(() => document.querySelectorAll("td.left[data-ends]").forEach(tick), 1000);
  setInterval(() => { if (!document.hidden && source) { refresh(generation); mark("convergence", "denials"); } }, REFRESH_MS);
  load();
}

begin();
