"use strict";
// The resident's page. It is one device of one account: it is told of calls over an event stream, rings, answers over
// HTTP with an offer of its own, opens doors, and says at every moment whether it would ring.

const $ = (id) => document.getElementById(id);
const SILENCE = 40_000;        // the gateway says something every 15 s
const NEWS = 60_000;           // what was said on the page is old after so long
const ANSWER = 5_000;          // a question without an answer for so long is lost; a tap on a door is good for as long

const state = {
  session: null,               // who we are
  isOnline: false,
  isArmed: false,
  calls: new Map(),            // what rings here, by call
  declined: new Set(),         // calls that were declined here and may go on elsewhere
  talk: null,                  // the conversation, from the tap on Answer on
  view: null,                  // what is seen of who calls
};

// --- asking the gateway ------------------------------------------------------------------------------------------

/** Asks, and waits for an answer for so many milliseconds; null: for as long as it takes. */
async function ask(method, path, { body, type, headers, patience = ANSWER, keepalive = false } = {}) {
  const options = { method, headers: { ...headers }, cache: "no-store", keepalive };
  if (patience) options.signal = AbortSignal.timeout?.(patience);
  if (body !== undefined) {
    options.body = typeof body === "string" ? body : JSON.stringify(body);
    options.headers["Content-Type"] = type || "application/json";
  }
  return fetch(path, options);
}

// --- showing -----------------------------------------------------------------------------------------------------

function show(section) {
  for (const id of ["stranger", "arm", "waiting"]) $(id).hidden = id !== section;
}

function speak() {
  document.documentElement.lang = LANGUAGE;
  for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
  if (navigator.wakeLock) $("armText").textContent += " " + say("armAwake");
}

/** A live region speaks whenever it is written to: only what is new is written. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

/** Says something where it is seen, and where a screen reader is: beside the call in front, else on the page. */
function tell(words) {
  if ($("call").open) return setText("callSaid", words);
  setText("news", words);
  clearTimeout(state.newsAge);
  state.newsAge = setTimeout(() => setText("news", ""), NEWS);
}

function render() {
  const { session } = state;
  $("link").hidden = !session;
  setText("link", say(state.isOnline ? "connected" : "away"));
  $("link").classList.toggle("off", !state.isOnline);
  const isOffline = Boolean(session) && !state.isOnline && state.wasOnline;
  $("offline").hidden = !isOffline;
  if (isOffline) setText("offline", say("offline"));
  if (!session) return;
  $("building").textContent = session.building;
  $("home").textContent = session.unit ? [session.unit, session.unitName].filter(Boolean).join(" · ") : session.name;
  show(state.isArmed ? "waiting" : "arm");
  const isQuiet = session.dnd || session.unitDND;
  $("calmTitle").textContent = say(isQuiet ? "quietNow" : "calm");
  $("quiet").setAttribute("aria-checked", String(session.dnd));
  $("quietText").textContent = say(session.unitDND ? "quietUnit" : session.dnd ? "quietOn" : "quietOff");
  renderTrust();
  renderDoors();
  renderCall();
}

/** What stands between this page and a microphone, said where it is met. */
function renderTrust() {
  const notes = [];
  if (!window.RTCPeerConnection) notes.push(document.createTextNode(say("noTalk")));
  else if (!window.isSecureContext) {
    notes.push(document.createTextNode(say("trustPlain") + " "));
    if (state.session.secure) {
      const link = document.createElement("a");
      link.href = state.session.secure;
      link.textContent = state.session.secure;
      notes.push(link);
    }
  } else if (!state.session.hasKnownCertificate && location.protocol === "https:") {
    notes.push(document.createTextNode(say("trustOwn")));
  }
  for (const [box, text] of [["trust", "trust"], ["warning", "warningText"]]) {
    $(box).hidden = notes.length === 0;
    $(text).replaceChildren(...notes.map((note) => note.cloneNode(true)));
  }
}

function renderDoors() {
  const doors = state.session.doors;
  $("doorsCard").hidden = doors.length === 0;
  const key = JSON.stringify(doors);
  if ($("doors").dataset.key === key) return;
  $("doors").dataset.key = key;
  $("doors").replaceChildren(...doors.map((door) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = door.name;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("openDoor");
    button.setAttribute("aria-label", say("openNamed", { name: door.name }));
    button.dataset.door = door.id;
    button.addEventListener("click", () => openDoor(door, button, $("doorSaid")));
    row.append(name, button);
    return row;
  }));
}

async function renderMissed() {
  const reply = await ask("GET", "api/v1/cdr?limit=50").catch(() => null);
  if (!reply || !reply.ok) return;
  // Who declined has missed nothing.
  const calls = (await reply.json()).filter((call) =>
    call.unit === state.session.unit && call.end !== "answered" && call.end !== "refused"
      && !call.legs.some((leg) => leg.account === state.session.account && leg.state === "declined")).slice(0, 10);
  $("missedNone").hidden = calls.length > 0;
  $("missed").replaceChildren(...calls.map((call) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    name.textContent = state.session.names[call.from] || call.from;
    const time = document.createElement("time");
    time.dateTime = call.started;
    time.className = "quiet";
    time.textContent = new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "medium", timeStyle: "short" })
      .format(new Date(call.started));
    row.append(name, time);
    return row;
  }));
}

// --- enrolment ---------------------------------------------------------------------------------------------------

/** Redeems a link that stands in the address, and forgets it: the token stands in the cookie from then on. Gives whether
    there was one. */
async function enrol() {
  const token = new URLSearchParams(location.hash.slice(1)).get("enroll");
  if (!token) return false;
  const address = location.pathname + location.search;
  history.replaceState(null, "", address);
  let reply = null;
  try {
    reply = await ask("POST", `provision/${encodeURIComponent(token)}`);
    if (reply.ok) {
      const { bearer } = await reply.json();
      reply = await ask("POST", "api/v1/session", { headers: { Authorization: `Bearer ${bearer}` } });
    }
  } catch { reply = null; }
  const isLost = !reply || reply.status >= 500;
  // Then it stands in the address again, so that a reload redeems it.
  if (isLost) history.replaceState(null, "", `${address}#enroll=${token}`);
  state.why = isLost ? "strangerFault" : reply.ok ? null : reply.status === 429 ? "strangerBusy" : "strangerUsed";
  return true;
}

/** Another link may have been put into the address of the open page. */
async function enrolAgain() {
  if (!await enrol()) return;
  state.isNew = true;
  state.abort?.abort();
  state.wake?.();
}

function stranger() {
  state.session = null;
  endTalk();
  for (const call of [...state.calls.keys()]) stopRinging(call);
  setText("strangerWhy", say(state.why || "strangerText"));
  $("home").textContent = "Vestibule";
  $("building").textContent = "";
  show("stranger");
  render();
}

// --- the event stream --------------------------------------------------------------------------------------------

/** Follows events for as long as the page is open. */
async function follow() {
  let wait = 500;
  for (;;) {
    const began = performance.now();
    // Whatever goes wrong there is seen in what is shown, and tried again.
    const isStranger = await attend().catch(() => false);
    if (performance.now() - began > 20_000 || state.isNew) wait = 500;
    if (!state.isNew) await pause(isStranger ? 15_000 : wait);
    state.isNew = false;
    wait = Math.min(wait * 2, 15_000);
  }
}

/** Asks who we are, and listens until the stream ends; whether we are nobody here. */
async function attend() {
  try {
    const known = await ask("GET", "api/v1/session");
    if (known.status === 401 || known.status === 403) {
      stranger();
      return true;
    }
    if (!known.ok) return false;
    await meet(known);
    state.why = null;
    await listen();
    return false;
  } finally {
    state.isOnline = false;
    render();
  }
}

/** Takes what the gateway says of us, and what its clock shows: the two clocks may differ by years. */
async function meet(reply) {
  state.session = await reply.json();
  state.clock = Date.parse(state.session.now) - performance.now();
}

/** Waits, or is woken because the network may be back. */
function pause(time) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    state.wake = () => { clearTimeout(timer); resolve(); };
  });
}

async function listen() {
  const abort = new AbortController();
  state.abort = abort;
  let timer;
  const alive = () => { clearTimeout(timer); timer = setTimeout(() => abort.abort(), SILENCE); };
  alive();
  try {
    // From now on. What was missed is asked for and not told again: a ring of an hour ago must not ring, whatever the
    // gateway's clock or ours says of its age.
    const headers = { Accept: "text/event-stream" };
    const reply = await fetch("api/v1/events", { headers, signal: abort.signal, cache: "no-store" });
    if (!reply.ok) return;
    // Asked after the stream stands, so that nothing falls between.
    const known = await ask("GET", "api/v1/session");
    if (!known.ok) return;
    await meet(known);
    await reconcile();
    state.isOnline = state.wasOnline = true;
    render();
    renderMissed();
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      rest += value;
      const messages = rest.split("\n\n");
      rest = messages.pop();
      for (const message of messages) take(message);
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

function take(message) {
  let data = "";
  for (const line of message.split("\n")) {
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data) return;
  const event = JSON.parse(data);
  switch (event.type) {
    case "call.ringing":
      if (event.rings) startRinging(event);
      break;
    case "call.answered":
      if (state.talk?.call !== event.call) stopRinging(event.call, say("elsewhere"));
      break;
    case "call.silenced":
      stopRinging(event.call);
      break;
    case "call.ended":
      state.declined.delete(event.call);
      stopRinging(event.call);
      if (state.talk?.call === event.call) endTalk(say("callOver"));
      setTimeout(renderMissed, 300);
      break;
    case "dnd.set":
      if (event.account === state.session.account) state.session.dnd = event.dnd;
      if (event.unit && event.unit === state.session.unit) state.session.unitDND = event.dnd;
      break;
  }
  render();
}

/** Brings what rings and talks in line with what the gateway says of it. */
async function reconcile() {
  const live = new Set(state.session.ringing.map((call) => call.call));
  for (const id of [...state.calls.keys()]) if (!live.has(id) && state.talk?.call !== id) stopRinging(id);
  for (const call of state.session.ringing) startRinging(call);
  const { talk } = state;
  if (!talk?.location) return;
  const reply = await ask("GET", "api/v1/calls");
  const calls = reply.ok ? await reply.json() : null;
  if (calls && state.talk === talk && !calls.some((call) => call.id === talk.call)) endTalk(say("callOver"));
}

// --- doors and quiet ---------------------------------------------------------------------------------------------

async function openDoor(door, button, place) {
  // Not disabled: that would take the keyboard away from it.
  if (!door || button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  delete place.dataset.result;
  place.textContent = say("opening");
  const outcome = await command(door);
  place.textContent = outcome.result === "opened" ? say("opened", { name: door.name })
    : outcome.result === "refused" ? say("refused", { name: door.name, why: say(why(outcome.reason)) })
    : say("unknown", { name: door.name });
  place.dataset.result = outcome.result;
  button.removeAttribute("aria-disabled");
}

/** What became of one tap. It is sent again with the same key when the answer is lost, so the door opens once. It says when it
    was given, by the gateway's clock: one that comes late, when nobody may stand there any more, opens nothing. Where that
    clock was set, or ours stood still while the device slept, the gateway is asked what it shows. */
async function command(door) {
  const tapped = performance.now();
  let key = newKey();
  let isAskedAnew = false;
  for (let left = ANSWER; left > 0; left = tapped + ANSWER - performance.now()) {
    try {
      const reply = await ask("POST", `api/v1/doors/${encodeURIComponent(door.id)}/open`, {
        headers: { "Idempotency-Key": key, "Issued-At": new Date(state.clock + tapped).toISOString() },
        patience: Math.ceil(left),
      });
      const said = await reply.json();
      if (!reply.ok) return { result: "refused", reason: said.detail || "" };
      if (isAskedAnew || !["expired", "malformed"].includes(said.reason)) return said;
      isAskedAnew = true;
      key = newKey();
      const known = await ask("GET", "api/v1/session");
      if (known.ok) await meet(known);
    } catch { await pauseFor(700); }
  }
  return { result: "unknown" };
}

function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const pauseFor = (time) => new Promise((resolve) => setTimeout(resolve, time));

function why(reason = "") {
  if (reason === "not-at-this-hour") return "whyHour";
  if (["not-your-door", "unknown-door", "not-permitted"].includes(reason)) return "whyNot";
  if (reason === "cooldown" || reason === "busy") return "whyCooldown";
  if (/^(unreachable|device)/.test(reason)) return "whyDevice";
  return "whyOther";
}

async function setQuiet() {
  const wanted = !state.session.dnd;
  const reply = await ask("PUT", `api/v1/accounts/${encodeURIComponent(state.session.account)}/dnd`, { body: { dnd: wanted } })
    .catch(() => null);
  if (reply?.ok) state.session.dnd = wanted;
  render();
  if (!reply?.ok) $("quietText").textContent = say("quietFault");
}

async function forget() {
  $("sure").close();
  const reply = await ask("DELETE", "api/v1/session").catch(() => null);
  if (!reply?.ok) return tell(say("quietFault"));
  state.abort?.abort();
  stranger();
}

// --- beginning ---------------------------------------------------------------------------------------------------

function wire() {
  $("armButton").addEventListener("click", arm);
  $("quiet").addEventListener("click", setQuiet);
  $("answer").addEventListener("click", answer);
  $("decline").addEventListener("click", decline);
  $("hangUp").addEventListener("click", () => hangUp());
  $("mute").addEventListener("click", mute);
  $("openDoor").addEventListener("click", () => openDoor(doorOf(current() || {}), $("openDoor"), $("callSaid")));
  $("forget").addEventListener("click", () => $("sure").showModal());
  $("sureNo").addEventListener("click", () => $("sure").close());
  $("sureYes").addEventListener("click", forget);
  // Neither Escape nor a telephone's way back makes a visitor disappear; some browsers let the second one through.
  $("call").addEventListener("cancel", (event) => event.preventDefault());
  $("call").addEventListener("close", () => { if (current()) renderCall(); });
  const wake = () => { if (!state.isOnline) state.wake?.(); };
  const renew = () => { for (const path of [state.talk, state.view?.path]) if (path) restart(path); };
  window.addEventListener("online", () => { wake(); renew(); });
  navigator.connection?.addEventListener?.("change", renew);
  window.addEventListener("offline", () => { state.abort?.abort(); });
  window.addEventListener("hashchange", enrolAgain);
  window.addEventListener("pagehide", () => { if (state.talk) hangUp(); endView(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { keepAwake(); wakeSound(); wake(); } });
}

async function begin() {
  speak();
  wire();
  navigator.serviceWorker?.register("worker.js").catch(() => {});
  await enrol();
  openSound();
  follow();
}

begin();
