"use strict";
// What is seen of who rings, before anybody answers and until the call is over: live by WHEP (draft-ietf-wish-whep); until
// that stands, and whenever it stands still, the newest picture; else the drawing, and the reason in words. All of them
// share one place, so nothing moves when one takes over from another.
//
// The right to look comes with the ring and ends with the call. One view at a time: that of the call in front.

const SNAPSHOT_EVERY = 1_000;
const FIRST_FRAME = 8_000;     // a path that shows nothing for so long is made anew
const STILL = 4_000;           // a picture that stood for so long is not live

/** Looks at who calls; null: at nobody. */
function showView(call) {
  const id = call?.token && call.whep ? call.call : null;
  if ((state.view?.call ?? null) === id) return;
  endView();
  if (!id) return;
  const camera = call.whep.split("/whep/").pop();
  const view = {
    call: id, name: call.name, headers: { Authorization: `Bearer ${call.token}` },
    // On the address that this page is from, whatever the gateway's own name is.
    live: `whep/${camera}`, still: `snapshot/${camera}.jpg`,
    began: performance.now(), frames: 0, lastFrame: null, isLive: false, hasStill: false, failures: 0, path: null,
  };
  state.view = view;
  lookLive(view);
  lookStill(view);
  watch(view);
}

function endView() {
  const { view } = state;
  state.view = null;
  if (view?.path) dropPath(view.path);
  for (const timer of [view?.again, view?.next, view?.watching]) clearTimeout(timer);
  const live = $("live");
  live.srcObject = null;
  live.classList.remove("shown");
  const still = $("snapshot");
  still.hidden = true;
  if (still.src) URL.revokeObjectURL(still.src);
  still.removeAttribute("src");
  setWhy("");
}

function setWhy(words) {
  setText("viewSaid", words);
  $("viewSaid").hidden = !words;
}

/** Says why it is not live, in our words and with what the gateway knows of it: what is shown instead makes a difference. */
function explain(view, key, detail = "") {
  view.why = key;
  view.detail = detail;
  const words = key && !view.isLive ? say(view.hasStill ? `${key}Still` : key) : "";
  if (state.view === view) setWhy(words && detail ? `${words} (${detail})` : words);
}

// --- live --------------------------------------------------------------------------------------------------------

async function lookLive(view) {
  if (!window.RTCPeerConnection) return explain(view, "viewNoCodec");
  const path = { candidates: [], headers: view.headers };
  path.onLost = path.onGone = () => lookAgain(view, path, 0);
  view.path = path;
  let reply = null;
  try {
    const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    path.peer = peer;
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = (event) => play(view, path, event.track);
    peer.onicecandidate = (event) => { path.candidates.push(event.candidate); trickle(path); };
    peer.onconnectionstatechange = () => recover(path);
    await peer.setLocalDescription();
    reply = await ask("POST", view.live, { body: peer.localDescription.sdp, type: "application/sdp", headers: path.headers });
    if (reply.status === 201) {
      const place = new URL(reply.headers.get("Location"), reply.url);
      path.location = place.pathname + place.search;
      path.tag = reply.headers.get("ETag");
    }
    if (path.isOver) return dropPath(path);
    if (reply.status === 201) {
      await peer.setRemoteDescription({ type: "answer", sdp: await reply.text() });
      if (peer.getTransceivers()[0].currentDirection !== "recvonly") {
        dropPath(path);
        return explain(view, "viewNoCodec");
      }
      path.since = performance.now();
      trickle(path);
      return;
    }
  } catch { /* the network, or an answer that this browser cannot read */ }
  if (path.isOver) return;
  switch (reply?.status) {
    // This browser reads nothing that the camera or the gateway can send: asking again changes nothing.
    case 406: case 415: case 422:
      dropPath(path);
      return explain(view, "viewNoCodec");
    // The right to look has ended, and soon the call with it.
    case 401: case 403: case 404: case 410:
      dropPath(path);
      return explain(view, "viewOff");
    case 409: {
      const told = await reply.json().catch(() => ({}));
      if (path.isOver) return;
      explain(view, told.reason === "camera-starting" ? "viewStarting" : "viewOff", told.detail);
      break;
    }
    case 429: case 503: explain(view, "viewBusy"); break;
  }
  lookAgain(view, path, Number(reply?.headers.get("Retry-After")) || 0);
}

/** Another path in place of one that failed: after so many seconds, or after a while that doubles. */
function lookAgain(view, path, seconds) {
  dropPath(path);
  if (state.view !== view || view.path !== path) return;
  view.failures += 1;
  const wait = seconds ? Math.min(seconds, 15) * 1_000 : Math.min(250 * 2 ** view.failures, 8_000);
  clearTimeout(view.again);
  view.again = setTimeout(() => lookLive(view), wait);
}

function play(view, path, track) {
  const live = $("live");
  if (state.view !== view || view.path !== path) return;
  live.srcObject = new MediaStream([track]);
  const shown = () => {
    if (path.isOver || state.view !== view || view.path !== path) return;
    view.frames += 1;
    view.lastFrame = performance.now();
    view.failures = 0;
    if (!view.isLive) reveal(view);
    live.requestVideoFrameCallback?.(shown);
  };
  // Shown with its first frame, not before. Where frames cannot be counted, time that passes says as much.
  if (live.requestVideoFrameCallback) live.requestVideoFrameCallback(shown);
  else live.ontimeupdate = live.onloadeddata = shown;
  live.play().catch(() => {});
}

function reveal(view) {
  view.isLive = true;
  view.firstAfter ??= performance.now() - view.began;
  const live = $("live");
  live.setAttribute("aria-label", say("pictureLive", { name: view.name }));
  live.classList.add("shown");
  $("snapshot").hidden = true;
  explain(view, null);
}

/** Once a second: is it still live, and does it come at all? */
function watch(view) {
  if (state.view !== view) return;
  const now = performance.now();
  // Nobody looks at a page in the background, and browsers draw nothing there.
  if (document.hidden) {
    if (view.lastFrame) view.lastFrame = now;
    if (view.path?.since) view.path.since = now;
  }
  const silence = now - Math.max(view.lastFrame ?? 0, view.path?.since ?? now);
  if (view.isLive && now - view.lastFrame > STILL) {
    view.isLive = false;
    $("live").classList.remove("shown");
    $("snapshot").hidden = !view.hasStill;
    explain(view, view.why || "viewStopped", view.detail);
    lookStill(view);
  }
  if (view.path?.since && !view.path.isOver && silence > FIRST_FRAME) lookAgain(view, view.path, 0);
  view.watching = setTimeout(() => watch(view), 1_000);
}

// --- the newest picture ------------------------------------------------------------------------------------------

/** One picture a second for as long as it is not live; rarer when there is none. */
async function lookStill(view, misses = 0) {
  clearTimeout(view.next);
  if (state.view !== view || view.isLive) return;
  const reply = await ask("GET", view.still, { headers: view.headers }).catch(() => null);
  const picture = reply?.ok ? await reply.blob().catch(() => null) : null;
  if (state.view !== view || view.isLive) return;
  if (picture) {
    const still = $("snapshot");
    const old = still.src;
    still.src = URL.createObjectURL(picture);
    if (old) URL.revokeObjectURL(old);
    still.alt = say("picture", { name: view.name });
    still.hidden = false;
    view.hasStill = true;
    explain(view, view.why, view.detail);
  }
  if ([401, 403, 404].includes(reply?.status) && misses > 2) return;
  const wait = picture ? SNAPSHOT_EVERY : Math.min(SNAPSHOT_EVERY * 2 ** misses, 8_000);
  view.next = setTimeout(() => lookStill(view, picture ? 0 : misses + 1), wait);
}
