"use strict";

// Everything that comes from outside (labels, names, paths) goes through textContent or an
// attribute, never through markup.

const CONTROL = "/control/";
const POLL = 500; // milliseconds between two looks at the emulator
const SVG = "http://www.w3.org/2000/svg";

const ACTIONS = [
  // name, words, said afterwards, shown before the answer, shown after it
  ["answer", "Answer", "picked up", true, false],
  ["busy", "Busy", "is busy", true, false],
  ["no_answer", "No answer", "did not answer", true, false],
  ["fail", "Fail", "failed", true, false],
  ["hang_up", "Hang up", "hung up", false, true],
];
const TONES = {
  connecting: "ringing",
  ringing: "ringing",
  connected: "connected",
  "in-progress": "connected",
  busy: "failed",
  "no-answer": "failed",
  failed: "failed",
};

const byId = (id) => document.getElementById(id);

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}

/** Make the children of a parent match some items; a node stays the same for as long as its key. */
function keep(parent, items, key, build, fill) {
  const wanted = new Set(items.map(key));
  for (const child of [...parent.children]) if (!wanted.has(child.dataset.key)) child.remove();
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let next = parent.firstElementChild;
  for (const item of items) {
    let node = known.get(key(item));
    if (!node) {
      node = build(item);
      node.dataset.key = key(item);
    }
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
    fill(node, item);
  }
}

function clock(seconds) {
  const rest = String(Math.floor(seconds % 60)).padStart(2, "0");
  return `${Math.floor(seconds / 60)}:${rest}`;
}

function duration(milliseconds) {
  return milliseconds < 120000 ? `${(milliseconds / 1000).toFixed(1)} s` : `${clock(milliseconds / 1000)} min`;
}

/* ---- talking to the emulator ---- */

let saidUntil = 0;

function announce(text) {
  byId("said").textContent = text;
  clearTimeout(saidUntil);
  saidUntil = setTimeout(() => (byId("said").textContent = ""), 4000);
}

async function act(method, path, body, done) {
  try {
    const answer = await fetch(CONTROL + path, { method, body: body && JSON.stringify(body) });
    announce(answer.ok ? done : (await answer.json()).message);
  } catch {
    announce("The emulator does not answer");
  }
  await look();
}

async function look() {
  try {
    const account = encodeURIComponent(byId("account").value);
    const options = { signal: AbortSignal.timeout(5000) };
    const answer = await fetch(`${CONTROL}overview?account=${account}`, options);
    if (!answer.ok) throw new Error((await answer.json()).message);
    show(await answer.json());
    mark(byId("live"), "live", "true");
    say(byId("live-text"), "live");
  } catch (problem) {
    mark(byId("live"), "live", "false");
    say(byId("live-text"), problem instanceof TypeError ? "not answering" : problem.message);
  }
}

async function follow() {
  if (!document.hidden) await look();
  setTimeout(follow, POLL);
}

/* ---- showing its state ---- */

function show(state) {
  for (const [name, count] of Object.entries(state.totals)) say(byId(`total-${name}`), String(count));
  showAccounts(state);
  showRooms(state);
  showPace(state.pace);
  showFaults(state.faults);
  keep(byId("requests"), state.requests, (one) => String(one.number), buildRequest, () => {});
}

function showAccounts(state) {
  const select = byId("account");
  keep(
    select,
    state.accounts.map((sid) => ({ sid })),
    (one) => one.sid,
    (one) => Object.assign(make("option", "", `${one.sid.slice(0, 10)}…`), { value: one.sid }),
    () => {},
  );
  if (select.value !== state.account) select.value = state.account;
  byId("account-choice").hidden = state.accounts.length < 2;
  const lines = [
    `export CONFERENCE_ASYNC_BASE_URL=${location.origin}`,
    `export TWILIO_ACCOUNT_SID=${state.account}`,
    "export TWILIO_AUTH_TOKEN=...",
    "",
    'curl -u "$TWILIO_ACCOUNT_SID:$TWILIO_AUTH_TOKEN" \\',
    "  --data-urlencode From=+15017122661 \\",
    "  --data-urlencode To=+15558675310 -d Label=alice \\",
    '  "$CONFERENCE_ASYNC_BASE_URL/2010-04-01/Accounts/$TWILIO_ACCOUNT_SID/Conferences/standup/Participants.json"',
  ];
  say(byId("example"), lines.join("\n"));
}

function showRooms(state) {
  const focused = document.activeElement;
  const room = focused.closest(".room");
  keep(byId("rooms"), state.rooms, (one) => one.sid, buildRoom, fillRoom);
  if (room && (!focused.isConnected || focused.closest("[hidden]"))) {
    // What was pressed is gone: go on at the next thing to press, or at the conference.
    const call = focused.closest(".call");
    const next = call?.isConnected && call.querySelector("button:not([hidden])");
    (next || (room.isConnected ? room : byId("rooms"))).focus({ preventScroll: true });
  }
  byId("empty").hidden = state.rooms.length > 0;
  byId("more-rooms").hidden = !state.hidden_rooms;
  say(byId("more-rooms"), `and ${state.hidden_rooms} more conferences`);
}

function buildRoom(room) {
  const node = make("article", "card room");
  const head = make("div", "room-head");
  const name = make("h3", "", room.name);
  head.append(name, make("span", "pill"), make("span", "room-count"), make("code", "room-sid", room.sid));
  node.append(head, make("ul"), make("p", "note"));
  node.tabIndex = -1;
  node.setAttribute("aria-label", `Conference ${room.name}`);
  return node;
}

function fillRoom(node, room) {
  const pill = node.querySelector(".pill");
  const live = room.status !== "completed";
  say(pill, live ? room.status : "ended");
  mark(pill, "tone", TONES[room.status] || "");
  mark(node, "live", String(live));
  const outside = room.live - room.inside;
  const counts = [`${room.inside} in`, outside ? `${outside} being called` : "", room.over ? `${room.over} over` : ""];
  say(node.querySelector(".room-count"), (live ? counts : counts.slice(2)).filter(Boolean).join(" · "));
  keep(node.querySelector("ul"), room.calls, (one) => one.sid, buildCall, fillCall);
  const more = node.querySelector(":scope > .note");
  more.hidden = !room.hidden;
  say(more, `and ${room.hidden} more`);
}

function buildCall(call) {
  const node = make("li", "call");
  const who = make("div", "who");
  const acts = make("div", "acts");
  if (call.label !== null) who.append(make("b", "", call.label));
  who.title = call.label ?? "";
  who.append(make("span", "number", call.to), make("span", "traits"));
  for (const [action, words, said] of ACTIONS) {
    const button = make("button", "", words);
    button.type = "button";
    button.dataset.action = action;
    if (action === "answer") button.dataset.main = "";
    button.setAttribute("aria-label", `${words}: ${call.label ?? call.to}`);
    button.addEventListener("click", () =>
      act("POST", `calls/${call.sid}/${action}`, null, `${call.label ?? call.to} ${said}`),
    );
    acts.append(button);
  }
  node.append(make("span", "pill"), who, make("span", "time"), acts);
  return node;
}

function fillCall(node, call) {
  const status = call.over ? call.call_status : call.status;
  const pill = node.querySelector(".pill");
  say(pill, status.replace("-", " "));
  mark(pill, "tone", TONES[status] || "");
  mark(node, "over", String(call.over));
  mark(node, "connected", String(call.status === "connected"));
  const traits = [
    call.waiting && "waits for the start",
    call.muted && "muted",
    call.hold && "on hold",
    call.coaching && "coaching",
    call.answered_by && call.answered_by !== "human" && call.answered_by.replaceAll("_", " "),
  ];
  say(node.querySelector(".traits"), call.over ? "" : traits.filter(Boolean).join(" · "));
  const queued = call.status === "queued";
  const time = queued ? `in ${clock(Math.max(0, call.seconds))}` : clock(call.seconds);
  say(node.querySelector(".time"), time);
  for (const [action, , , before, after] of ACTIONS) {
    const button = node.querySelector(`[data-action="${action}"]`);
    button.hidden = call.over || !(call.status === "connected" ? after : before);
  }
}

/* ---- the plots ---- */

function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
}

function plot(id, values, highest, unit) {
  const svg = byId(id);
  const width = svg.clientWidth || 360;
  const height = Number(svg.getAttribute("height"));
  const [left, top, bottom] = [34, 8, 4];
  const x = (place) => left + (place * (width - left)) / values.length;
  const y = (value) => top + (1 - value / highest) * (height - top - bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  for (const value of [0, highest / 2, highest]) {
    draw(svg, "line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) });
    const text = `${Math.round(value * 10) / 10}${unit}`;
    draw(svg, "text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, text);
  }
  return { svg, width, x, y };
}

function ceiling(value) {
  const step = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * step).find((round) => round >= value);
}

function showPace(pace) {
  const cps = Number(pace.cps ?? 0);
  const most = Math.max(...pace.started);
  const one = plot("started", pace.started, ceiling(Math.max(2, most, cps * 1.2)), "");
  const wide = (one.x(1) - one.x(0)) * 0.72;
  pace.started.forEach((count, place) => {
    if (count) {
      const [x, y] = [one.x(place), one.y(count)];
      draw(one.svg, "rect", { class: "bar", x, y, width: wide, height: one.y(0) - y, rx: 1 });
    }
  });
  if (cps) {
    const limit = one.y(cps);
    draw(one.svg, "line", { class: "limit", x1: one.x(0), x2: one.width, y1: limit, y2: limit });
    draw(one.svg, "text", { class: "limit-text", x: one.x(0) + 4, y: limit - 4 }, `${pace.cps} CPS`);
  }
  say(byId("started-text"), `most ${most}/s`);
  const limited = cps ? `the limit is ${pace.cps} calls per second` : "no limit is set";
  one.svg.setAttribute("aria-label", `Calls started per second: at most ${most}; ${limited}`);

  const seconds = pace.queue_time.map((milliseconds) => milliseconds / 1000);
  const longest = Math.max(...pace.queue_time);
  const two = plot("queue", seconds, ceiling(Math.max(1, ...seconds)), " s");
  const points = seconds.map((value, place) => `${two.x(place + 0.5)},${two.y(value)}`);
  const last = two.x(seconds.length - 0.5);
  const shape = `M${two.x(0.5)},${two.y(0)} L${points.join(" L")} L${last},${two.y(0)} Z`;
  if (longest) draw(two.svg, "path", { class: "area", d: shape });
  say(byId("queue-text"), `longest ${duration(longest)}`);
  two.svg.setAttribute("aria-label", `Queue time of new calls: at most ${duration(longest)}`);
}

/* ---- faults and requests ---- */

function faultName(value) {
  const option = [...byId("fault").options].find((one) => one.value === value);
  const placed = option.parentElement === byId("fault").lastElementChild;
  return `${option.text}, ${placed ? "placed" : "not placed"}`;
}

function showFaults(faults) {
  byId("clear").hidden = faults.length === 0;
  keep(
    byId("armed"),
    faults.map((fault, place) => ({ ...fault, key: `${place} ${fault.fault}` })),
    (fault) => fault.key,
    () => {
      const node = make("li");
      node.append(make("span"), make("span"));
      return node;
    },
    (node, fault) => {
      say(node.firstElementChild, faultName(fault.fault));
      const times = fault.times === null ? "always" : `${fault.times} more`;
      say(node.lastElementChild, `${fault.on ?? "every request"} · ${times}`);
    },
  );
}

function buildRequest(request) {
  const node = make("li");
  const time = make("time", "", new Date(request.date).toLocaleTimeString([], { hour12: false }));
  time.dateTime = request.date;
  const kind = make("span", "", request.kind === "unknown" ? request.method : request.kind);
  if (request.fault) kind.textContent += ` · ${request.fault.replaceAll("_", " ")}`;
  const pill = make("span", "pill", String(request.status ?? "no answer"));
  if (!(request.status < 400)) pill.dataset.tone = "failed";
  const path = make("span", "path", request.path.replace(/^\/2010-04-01\/Accounts\/[^/]*/, "…"));
  path.title = `${request.method} ${request.path}`;
  node.append(time, kind, pill, path);
  return node;
}

function explain() {
  const { about, takes } = byId("fault").selectedOptions[0].dataset;
  say(byId("about"), about);
  byId("takes").hidden = !takes;
  byId("seconds").disabled = !takes;
  say(byId("takes-text"), takes ?? "");
}

byId("base-url").textContent = location.origin;
byId("account").addEventListener("change", look);
byId("fault").addEventListener("change", explain);
byId("clear").addEventListener("click", () => act("DELETE", "faults", null, "No more faults to come"));
byId("inject").addEventListener("submit", (event) => {
  event.preventDefault();
  const fault = { fault: byId("fault").value, on: byId("on").value || null, times: Number(byId("times").value) };
  const takes = fault.fault === "too_many" ? "retry_after" : "seconds";
  if (!byId("seconds").disabled) fault[takes] = Number(byId("seconds").value);
  act("POST", "faults", fault, `To come: ${faultName(fault.fault)}`);
});

explain();
follow();
