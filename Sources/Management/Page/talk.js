"use strict";
// The call in front: the dialog that shows it, and the talk from the tap on Answer to its end. It can be hung up at every
// moment of its making: whatever comes later than that is given back.

/** The talk, else what has rung longest. */
function current() {
  if (state.talk) return state.talk;
  return state.calls.values().next().value;
}

/** Shows the call in front, and says `words` where they are seen: beside it, or on the page when there is none. */
function renderCall(words = "") {
  const call = current();
  const dialog = $("call");
  if (!call) {
    if (dialog.open) dialog.close();
    state.front = null;
    document.title = state.session ? `${$("home").textContent} · Vestibule` : "Vestibule";
    showView(null);
    if (words) tell(words);
    return;
  }
  const isTalking = call === state.talk;
  const held = document.activeElement;
  const track = state.talk?.microphone?.getAudioTracks()[0];
  $("caller").textContent = call.name;
  $("answer").hidden = $("decline").hidden = isTalking;
  $("mute").hidden = !track;
  $("mute").setAttribute("aria-pressed", String(track?.enabled === false));
  $("hangUp").hidden = !isTalking;
  $("answer").disabled = !window.RTCPeerConnection;
  $("openDoor").hidden = !doorOf(call);
  dialog.classList.toggle("rings", !isTalking);
  document.title = isTalking ? call.name : `● ${say("callingTitle", { name: call.name })}`;
  if (!isTalking) setText("callState", window.RTCPeerConnection ? say("calling") : `${say("calling")}. ${say("noTalk")}`);
  const others = [...state.calls.values()].filter((other) => other.call !== call.call);
  $("other").hidden = others.length === 0;
  setText("other", others.map((other) => say("also", { name: other.name })).join(" "));
  if (state.front !== call.call) {
    // Another caller has come to the front: nothing that was said of the one before stays, and who it is is said.
    const news = state.front ? [words, say("callingTitle", { name: call.name })] : [words];
    state.front = call.call;
    delete $("callSaid").dataset.result;
    setText("callSaid", news.filter(Boolean).join(" "));
    setText("news", "");
    if (!dialog.open) dialog.showModal();
    focusCall();
  } else {
    if (!dialog.open) dialog.showModal();
    if (words) setText("callSaid", words);
    if (held?.hidden) focusCall();
  }
  showView(call);
}

/** Where the keyboard stands while it rings: on Answer. A talk has no such button: a key that is held for too long must not
    end it. */
function focusCall() {
  $($("answer").hidden || $("answer").disabled ? "caller" : "answer").focus();
}

function doorOf(call) {
  return state.session?.doors.find((door) => door.id === call.door);
}

async function answer() {
  const call = current();
  if (!call || state.talk) return;
  const talk = {
    ...call, since: null, microphone: null, candidates: [],
    onLost: () => hangUp(say("lost")), onGone: () => endTalk(say("callOver")),
  };
  state.talk = talk;
  setText("callState", say("connectingCall"));
  renderCall();
  let status;
  try { status = await connect(talk); } catch { /* the network, or an answer that this browser cannot read */ }
  if (talk.isOver) return;
  if (talk.since !== null) {
    tick(talk);
    trickle(talk);
    renderCall(talk.microphone ? "" : say(talk.silence));
    return;
  }
  // The call may go on ringing: what can be done without sound stays possible.
  if (talk.location) leave(talk);
  state.talk = null;
  release(talk);
  if ([404, 409, 410].includes(status)) silence(talk.call);
  const words = { 404: "callOver", 409: "elsewhere", 410: "callOver", 406: "noSound", 503: "noRoom" };
  renderCall(say(words[status] || "callFault"));
}

/** Makes a talk's path; gives the status of the gateway's answer. A talk that was hung up meanwhile leaves nothing. */
async function connect(talk) {
  talk.microphone = await microphone(talk);
  if (talk.isOver) return release(talk);
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
  if (talk.isOver) return;
  talk.isAsked = true;
  // For as long as it takes: an answer that nobody waits for any more would leave the visitor with nobody.
  const reply = await ask("POST", `api/v1/calls/${talk.call}/answer`,
    { body: peer.localDescription.sdp, type: "application/sdp", patience: null }).catch(() => null);
  if (reply?.status === 201) {
    talk.location = new URL(reply.headers.get("Location"), reply.url).href;
    talk.tag = reply.headers.get("ETag");
  }
  if (talk.isOver) return leave(talk);
  if (reply?.status === 201) {
    silence(talk.call);
    await peer.setRemoteDescription({ type: "answer", sdp: await reply.text() });
    talk.since = performance.now();
  }
  return reply?.status;
}

/** The microphone; else null, and `talk.silence` says why. */
async function microphone(talk) {
  talk.silence = window.isSecureContext ? "microphoneMissing" : "noMicrophonePlain";
  if (!navigator.mediaDevices?.getUserMedia) return null;
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (fault) {
    const known = { NotAllowedError: "noMicrophone", SecurityError: "noMicrophone", NotFoundError: "microphoneMissing" };
    talk.silence = known[fault?.name] || "microphoneBusy";
    return null;
  }
}

function hear(event, talk) {
  if (talk.isOver) return;
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
  const seconds = Math.floor((performance.now() - talk.since) / 1000);
  const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  const isMute = !talk.microphone || !talk.microphone.getAudioTracks()[0].enabled;
  // The clock is for eyes; it would otherwise be read aloud every second.
  $("callState").setAttribute("aria-live", "off");
  setText("callState", say(isMute ? "talkingMute" : "talking", { time }));
  setTimeout(() => tick(talk), 1000);
}

/** Ends a talk here. */
function release(talk) {
  closePath(talk);
  for (const track of talk.microphone?.getTracks() ?? []) track.stop();
  // What is heard and seen by now may be another talk's.
  if (state.talk && state.talk !== talk) return;
  $("voice").srcObject = null;
  $("video").srcObject = null;
  $("video").hidden = true;
  $("callState").removeAttribute("aria-live");
}

/** Ends a talk at the gateway: hangs up what was answered, declines what was not. */
function leave(talk) {
  ask("DELETE", talk.location || `api/v1/calls/${talk.call}/answer`, { keepalive: true }).catch(() => {});
}

function endTalk(words) {
  const talk = state.talk;
  if (!talk) return;
  state.talk = null;
  release(talk);
  renderCall(words);
}

function hangUp(words) {
  const talk = state.talk;
  if (!talk) return;
  // While the gateway is asked for an answer, whoever asked sees to it that it is given back.
  if (talk.location || !talk.isAsked) leave(talk);
  if (!talk.location) {
    state.declined.add(talk.call);
    silence(talk.call);
  }
  endTalk(words);
}

function decline() {
  const call = current();
  if (!call) return;
  state.declined.add(call.call);
  leave(call);
  stopRinging(call.call);
}

function mute() {
  const track = state.talk?.microphone?.getAudioTracks()[0];
  if (!track) return;
  track.enabled = !track.enabled;
  renderCall();
}
