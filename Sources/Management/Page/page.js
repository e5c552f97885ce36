"use strict";
// The resident's page. It is one device of one account: it is told of calls over an event stream, rings, answers over
// HTTP with an offer of its own, opens doors, and says at every moment whether it would ring.

const $ = (id) => document.getElementById(id);
const SILENCE = 40_000;        // the gateway says something every 15 s
const RING_EVERY = 3_000;

const state = {
  session: null,               // who we are
  lastEvent: null,             // where the stream is taken up
  isOnline: false,
  isArmed: false,
  calls: new Map(),            // what rings here, by call
  talk: null,                  // the conversation, from the tap on Answer on
  view: null,                  // what is seen of who calls
};

// --- asking the gateway ------------------------------------------------------------------------------------------

async function ask(method, path, { body, type, headers } = {}) {
  const options = { method, headers: { ...headers }, cache: "no-store" };
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
}

function render() {
  const { session } = state;
  $("link").hidden = !session;
  $("link").textContent = say(state.isOnline ? "connected" : "away");
  $("link").classList.toggle("off", !state.isOnline);
  const isOffline = Boolean(session) && !state.isOnline && state.wasOnline;
  $("offline").hidden = !isOffline;
  if (isOffline && $("offline").textContent !== say("offline")) $("offline").textContent = say("offline");
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
  const calls = (await reply.json()).filter((call) =>
    call.unit === state.session.unit && call.end !== "answered" && call.end !== "refused").slice(0, 10);
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

/** Redeems the link that this page was opened by, and forgets it: the token stands in the cookie from then on. */
async function enrol() {
  const token = new URLSearchParams(location.hash.slice(1)).get("enroll");
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  let reply;
  try {
    reply = await ask("POST", `provision/${encodeURIComponent(token)}`);
    if (reply.ok) {
      const { bearer } = await reply.json();
      reply = await ask("POST", "api/v1/session", { headers: { Authorization: `Bearer ${bearer}` } });
    }
  } catch {
    // Not lost: the link stands in the address again, so that a reload redeems it.
    history.replaceState(null, "", `${location.pathname}${location.search}#enroll=${token}`);
    return "strangerFault";
  }
  if (reply.ok) return;
  if (reply.status === 429) return "strangerBusy";
  return reply.status >= 500 ? "strangerFault" : "strangerUsed";
}

function stranger(why) {
  state.session = null;
  for (const call of [...state.calls.keys()]) stopRinging(call);
  $("strangerWhy").textContent = say(why || "strangerText");
  $("home").textContent = "Vestibule";
  $("building").textContent = "";
  show("stranger");
  render();
}

// --- the event stream --------------------------------------------------------------------------------------------

/** Follows events for ever. Every time the stream opens, what rings now is asked anew. */
async function follow(why) {
  let wait = 500;
  for (;;) {
    const began = Date.now();
    try {
      const known = await ask("GET", "api/v1/session");
      if (known.status === 401 || known.status === 403) {
        stranger(why);
        why = undefined;
        wait = 15_000;
      } else if (known.ok) {
        state.session = await known.json();
        await listen();
      }
    } catch { /* the network; told below */ }
    state.isOnline = false;
    render();
    if (Date.now() - began > 20_000) wait = 500;
    await pause(wait);
    wait = Math.min(wait * 2, 15_000);
  }
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
    const headers = { Accept: "text/event-stream" };
    if (state.lastEvent) headers["Last-Event-ID"] = state.lastEvent;
    const reply = await fetch("api/v1/events", { headers, signal: abort.signal, cache: "no-store" });
    if (!reply.ok) return;
    // Asked after the stream stands, so that nothing falls between.
    state.session = await (await ask("GET", "api/v1/session")).json();
    reconcile();
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
    if (line.startsWith("id: ")) state.lastEvent = line.slice(4);
    if (line.startsWith("data: ")) data += line.slice(6);
  }
  if (!data) return;
  const event = JSON.parse(data);
  switch (event.type) {
    case "call.ringing":
      // What was missed may be over already: only what is live rings.
      if (event.rings && Date.now() - Date.parse(event.at) < 120_000) startRinging(event);
      break;
    case "call.answered":
      if (state.talk?.call !== event.call) stopRinging(event.call, say("elsewhere"));
      break;
    case "call.silenced":
      stopRinging(event.call);
      break;
    case "call.ended":
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

/** Brings what rings in line with what the gateway says rings. */
function reconcile() {
  const live = new Set(state.session.ringing.map((call) => call.call));
  for (const id of [...state.calls.keys()]) if (!live.has(id) && state.talk?.call !== id) stopRinging(id);
  for (const call of state.session.ringing) startRinging(call);
}

// --- ringing -----------------------------------------------------------------------------------------------------

function startRinging(call) {
  if (state.calls.has(call.call) || state.talk?.call === call.call) return;
  state.calls.set(call.call, { ...call });
  if (document.hidden || !document.hasFocus()) notify(call);
  if (navigator.vibrate && state.isArmed) navigator.vibrate([300, 200, 300]);
  chime();
  renderCall();
}

function stopRinging(id, words) {
  const call = state.calls.get(id);
  if (!call) return;
  state.calls.delete(id);
  call.notification?.close();
  withdraw();
  if (words && state.session) $("doorSaid").textContent = words;
  renderCall();
}

/** Two falling notes, made here: no file, no network. */
function chime() {
  clearTimeout(state.chimes);
  if (state.calls.size === 0) return;
  const context = state.audio;
  if (context && context.state === "running") {
    const volume = state.talk ? 0.06 : 0.5;
    for (const [at, pitch] of [[0, 659.26], [0.55, 523.25]]) {
      const start = context.currentTime + at;
      for (const [factor, share] of [[1, 1], [2, 0.35], [3, 0.12]]) {
        const tone = context.createOscillator();
        const level = context.createGain();
        tone.frequency.value = pitch * factor;
        level.gain.setValueAtTime(0, start);
        level.gain.linearRampToValueAtTime(volume * share, start + 0.012);
        level.gain.exponentialRampToValueAtTime(0.0001, start + 1.6);
        tone.connect(level).connect(context.destination);
        tone.start(start);
        tone.stop(start + 1.7);
      }
    }
  }
  state.chimes = setTimeout(chime, RING_EVERY);
}

async function notify(call) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const title = say("callingTitle", { name: call.name });
  const options = { tag: "ring", body: state.session?.building || "", icon: "icon.svg", requireInteraction: true };
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    if (worker) await worker.showNotification(title, options);
    else {
      const notification = new Notification(title, options);
      notification.onclick = () => window.focus();
      const ringing = state.calls.get(call.call);
      if (ringing) ringing.notification = notification; else notification.close();
    }
  } catch { /* a browser that shows none still rings */ }
}

async function withdraw() {
  if (state.calls.size > 0) return;
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    for (const one of await worker?.getNotifications({ tag: "ring" }) ?? []) one.close();
  } catch { /* nothing was shown */ }
}

/** The tap that browsers want before they play sound, keep the screen on, or notify. */
function arm() {
  state.isArmed = true;
  try { localStorage.setItem("armed", "yes"); } catch { /* asked again next time */ }
  // Where there is no sound card this never comes to an end; the page rings for eyes all the same.
  state.audio?.resume().then(chime, () => {});
  if ("Notification" in window && Notification.permission === "default") {
    Promise.resolve(Notification.requestPermission()).catch(() => {});
  }
  keepAwake();
  render();
  if (!$("call").open) $("calmTitle").focus();
}

async function keepAwake() {
  if (!state.isArmed || document.hidden || !navigator.wakeLock) return;
  try { state.lock = await navigator.wakeLock.request("screen"); } catch { /* low battery, mostly */ }
}

// --- the call ----------------------------------------------------------------------------------------------------

function current() {
  if (state.talk) return state.talk;
  return state.calls.values().next().value;
}

function renderCall() {
  const call = current();
  const dialog = $("call");
  if (!call) {
    if (dialog.open) dialog.close();
    document.title = state.session ? `${$("home").textContent} · Vestibule` : "Vestibule";
    showView(null);
    return;
  }
  const isTalking = call === state.talk;
  $("caller").textContent = call.name;
  $("answer").hidden = $("decline").hidden = isTalking;
  $("mute").hidden = !isTalking || !state.talk.microphone;
  $("hangUp").hidden = !isTalking;
  $("answer").disabled = !window.RTCPeerConnection;
  $("openDoor").hidden = !doorOf(call);
  dialog.classList.toggle("rings", !isTalking);
  document.title = isTalking ? call.name : `● ${say("callingTitle", { name: call.name })}`;
  if (!isTalking) setText("callState", window.RTCPeerConnection ? say("calling") : `${say("calling")}. ${say("noTalk")}`);
  const others = [...state.calls.values()].filter((other) => other.call !== call.call);
  $("other").hidden = others.length === 0;
  setText("other", others.map((other) => say("also", { name: other.name })).join(" "));
  if (!dialog.open) {
    setText("callSaid", "");
    dialog.showModal();
    (isTalking || $("answer").disabled ? $("caller") : $("answer")).focus();
  }
  showView(call);
}

/** A live region speaks whenever it is written to: only what is new is written. */
function setText(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function doorOf(call) {
  return state.session?.doors.find((door) => door.id === call.door);
}

async function answer() {
  const call = current();
  if (!call || state.talk) return;
  const talk = { ...call, since: null, microphone: null, candidates: [], onLost: () => hangUp(say("lost")) };
  state.talk = talk;
  setText("callState", say("connectingCall"));
  renderCall();
  let reply;
  try {
    talk.microphone = await microphone();
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    talk.peer = peer;
    if (talk.microphone) peer.addTransceiver(talk.microphone.getAudioTracks()[0], { direction: "sendrecv", streams: [talk.microphone] });
    else peer.addTransceiver("audio", { direction: "recvonly" });
    // Who is seen live already is not asked for a second picture.
    if (!state.view?.isLive) peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = (event) => hear(event, talk);
    peer.onicecandidate = (event) => { talk.candidates.push(event.candidate); trickle(talk); };
    peer.onconnectionstatechange = () => recover(talk);
    await peer.setLocalDescription();
    reply = await ask("POST", `api/v1/calls/${talk.call}/answer`,
      { body: peer.localDescription.sdp, type: "application/sdp" });
    if (state.talk !== talk) return release(talk);
    if (reply.status === 201) {
      state.calls.delete(talk.call);
      withdraw();
      talk.location = new URL(reply.headers.get("Location"), reply.url).href;
      talk.tag = reply.headers.get("ETag");
      await peer.setRemoteDescription({ type: "answer", sdp: await reply.text() });
      talk.since = Date.now();
      tick(talk);
      trickle(talk);
      renderCall();
      if (!talk.microphone) setText("callSaid", say(window.isSecureContext ? "noMicrophone" : "noMicrophonePlain"));
      $(talk.microphone ? "mute" : "hangUp").focus();
      return;
    }
  } catch { reply = null; }
  // The call may go on ringing: what can be done without sound stays possible.
  if (talk.location) fetch(talk.location, { method: "DELETE" }).catch(() => {});
  release(talk);
  if (state.talk === talk) state.talk = null;
  const words = { 404: "callOver", 409: "elsewhere", 410: "callOver", 406: "noSound", 503: "noRoom" }[reply?.status] || "callFault";
  if ([404, 409, 410].includes(reply?.status)) stopRinging(talk.call, say(words));
  renderCall();
  setText("callSaid", say(words));
}

async function microphone() {
  if (!navigator.mediaDevices?.getUserMedia) return null;
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch { return null; }
}

function hear(event, talk) {
  if (event.track.kind === "audio") {
    $("voice").srcObject = new MediaStream([event.track]);
    $("voice").play().catch(() => {});
  } else {
    const video = $("video");
    video.srcObject = new MediaStream([event.track]);
    // Shown with its first picture, not before: until then the drawing stays.
    video.onloadeddata = () => { if (state.talk === talk) video.hidden = false; };
    video.play().catch(() => {});
  }
}

function tick(talk) {
  if (state.talk !== talk) return;
  const seconds = Math.floor((Date.now() - talk.since) / 1000);
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const isMute = !talk.microphone || !talk.microphone.getAudioTracks()[0].enabled;
  // The clock is for eyes; it would otherwise be read aloud every second.
  $("callState").setAttribute("aria-live", "off");
  setText("callState", say(isMute ? "talkingMute" : "talking", { time }));
  setTimeout(() => tick(talk), 1000);
}

function release(talk) {
  closePath(talk);
  for (const track of talk.microphone?.getTracks() ?? []) track.stop();
  $("voice").srcObject = null;
  $("video").srcObject = null;
  $("video").hidden = true;
  $("callState").removeAttribute("aria-live");
}

function endTalk(words) {
  const talk = state.talk;
  if (!talk) return;
  state.talk = null;
  release(talk);
  $("mute").setAttribute("aria-pressed", "false");
  $("mute").querySelector("b").textContent = say("mute");
  renderCall();
  if (words) $("doorSaid").textContent = words;
}

function hangUp(words) {
  const talk = state.talk;
  if (talk?.location) fetch(talk.location, { method: "DELETE", keepalive: true }).catch(() => {});
  endTalk(words);
}

function decline() {
  const call = current();
  if (!call) return;
  ask("DELETE", `api/v1/calls/${call.call}/answer`).catch(() => {});
  stopRinging(call.call);
}

function mute() {
  const track = state.talk?.microphone?.getAudioTracks()[0];
  if (!track) return;
  track.enabled = !track.enabled;
  $("mute").setAttribute("aria-pressed", String(!track.enabled));
  $("mute").querySelector("b").textContent = say(track.enabled ? "mute" : "muted");
}

// --- doors and quiet ---------------------------------------------------------------------------------------------

async function openDoor(door, button, place) {
  if (!door || button.disabled) return;
  button.disabled = true;
  place.textContent = say("opening");
  const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // Sent again with the same key when the answer is lost: the door opens once.
  let outcome = { result: "unknown" };
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const reply = await ask("POST", `api/v1/doors/${encodeURIComponent(door.id)}/open`, { headers: { "Idempotency-Key": key } });
      const said = await reply.json();
      if (reply.ok) outcome = said;
      else outcome = { result: "refused", reason: said.detail || "" };
      break;
    } catch { await pauseFor(700); }
  }
  place.textContent = outcome.result === "opened" ? say("opened", { name: door.name })
    : outcome.result === "refused" ? say("refused", { name: door.name, why: say(why(outcome.reason)) })
    : say("unknown", { name: door.name });
  place.dataset.result = outcome.result;
  button.disabled = false;
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
  if (reply?.ok) { state.abort?.abort(); stranger(); }
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
  // Escape must not make a visitor disappear.
  $("call").addEventListener("cancel", (event) => event.preventDefault());
  const wake = () => { if (!state.isOnline) state.wake?.(); };
  const renew = () => { for (const path of [state.talk, state.view?.path]) if (path) restart(path); };
  window.addEventListener("online", () => { wake(); renew(); });
  navigator.connection?.addEventListener?.("change", renew);
  window.addEventListener("offline", () => { state.abort?.abort(); });
  window.addEventListener("pagehide", () => { if (state.talk) hangUp(); endView(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { keepAwake(); wake(); } });
}

async function begin() {
  speak();
  wire();
  navigator.serviceWorker?.register("worker.js").catch(() => {});
  const why = await enrol();
  // Asked once: where the browser lets a page sound again that its owner has let sound before, it just does.
  try {
    state.audio = new (window.AudioContext || window.webkitAudioContext)();
    if (state.audio.state === "running" && localStorage.getItem("armed")) state.isArmed = true;
  } catch { /* no sound at all, or nothing may be remembered */ }
  follow(why);
}

begin();
