"use strict";
// What rings here: for ears, for eyes, and for whoever looks at something else. Browsers let a page sound, notify and keep
// the screen on only after a tap, and may take the sound away again: whether it would be heard is known at every moment,
// and where it would not, the page asks for the tap anew.

const RING_EVERY = 3_000;

function startRinging(call) {
  // Who declined has said so until the call is over, whoever else of the account is rung anew meanwhile.
  if (state.calls.has(call.call) || state.declined.has(call.call) || state.talk?.call === call.call) return;
  state.calls.set(call.call, { ...call });
  if (document.hidden || !document.hasFocus()) notify(call);
  if (navigator.vibrate && state.isArmed) navigator.vibrate([300, 200, 300]);
  if (state.isArmed) wakeSound();
  chime();
  renderCall();
}

function stopRinging(id, words) {
  if (silence(id)) renderCall(words);
}

/** Takes a call from those that ring; whether it was one of them. */
function silence(id) {
  const call = state.calls.get(id);
  if (!call) return false;
  state.calls.delete(id);
  call.notification?.close();
  withdraw();
  return true;
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

// --- notifications -----------------------------------------------------------------------------------------------

async function notify(call) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const title = say("callingTitle", { name: call.name });
  const options = { tag: call.call, body: state.session?.building || "", icon: "icon.svg", requireInteraction: true };
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    const ringing = state.calls.get(call.call);
    if (!ringing) return;
    if (worker) await worker.showNotification(title, options);
    else {
      ringing.notification = new Notification(title, options);
      ringing.notification.onclick = () => window.focus();
    }
  } catch { /* a browser that shows none still rings */ }
  // It may have stopped before it was shown.
  withdraw();
}

/** Takes away what tells of calls that ring no more. */
async function withdraw() {
  try {
    const worker = await navigator.serviceWorker?.getRegistration();
    for (const one of await worker?.getNotifications() ?? []) if (!state.calls.has(one.tag)) one.close();
  } catch { /* nothing was shown */ }
}

// --- the tap -----------------------------------------------------------------------------------------------------

/** The tap that browsers want before they play sound, keep the screen on, or notify. */
function arm() {
  state.isArmed = state.hasTapped = true;
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

/** Whether the tap was given, now or when the page was open before. */
function hasTapped() {
  try { return state.hasTapped || Boolean(localStorage.getItem("armed")); } catch { return false; }
}

function openSound() {
  try { state.audio = new (window.AudioContext || window.webkitAudioContext)(); } catch { return; }
  state.audio.onstatechange = heedSound;
  heedSound();
}

/** Where the browser lets a page sound again that its owner has let sound before, it just does. Browsers say so only some
    time after the context was made. Where it takes the sound away, the page is as before the tap. */
function heedSound() {
  const isHeard = state.audio.state === "running";
  if (isHeard && !state.isArmed && hasTapped()) {
    state.isArmed = true;
    keepAwake();
    render();
  }
  if (isHeard) chime();
  if (!isHeard && state.wasHeard) {
    state.isArmed = false;
    render();
    wakeSound();
  }
  state.wasHeard = isHeard;
}

/** What was suspended may be let go on without a tap. */
function wakeSound() {
  if (state.audio && state.audio.state !== "running") state.audio.resume().catch(() => {});
}

async function keepAwake() {
  if (!state.isArmed || document.hidden || !navigator.wakeLock || state.lock?.released === false) return;
  try { state.lock = await navigator.wakeLock.request("screen"); } catch { /* low battery, mostly */ }
}
