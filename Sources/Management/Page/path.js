"use strict";
// A path for media between this page and the gateway: the talk has one, and so has the live picture. Both are made by an
// offer over HTTP, told of addresses that are found later, and renewed when the network is another one (RFC 8840 and
// draft-ietf-wish-whep). Who makes a path gives it
//   peer, location, tag   the connection, and where and as what the gateway knows it
//   candidates            addresses that the gateway was not told of yet
//   headers               what it wants to see with each request
//   onLost, onGone        what to do when no way was found for long, and when the gateway knows the path no more
// and calls closePath at its end.

const LOST = 20_000;           // a path without a way through for so long is over

/** A path that is lost is looked for again; who finds none for long has lost it. */
function recover(path) {
  if (path.isOver || !path.peer) return;
  clearTimeout(path.patience);
  const now = path.peer.connectionState;
  if (now === "connected") path.lostSince = null;
  if (now === "closed") return path.onGone();
  if (now !== "disconnected" && now !== "failed") return;
  path.lostSince ??= performance.now();
  if (performance.now() - path.lostSince > LOST || (now === "failed" && !path.location)) path.onLost();
  else path.patience = setTimeout(() => restart(path), now === "failed" ? 0 : 1_500);
}

/** Asks for new ways because the network is another one (RFC 8840 section 4.4); the old ones carry on meanwhile. */
async function restart(path) {
  if (path.isOver || !path.location) return;
  path.mustRestart = path.isTrickling;
  if (path.isTrickling) return;
  path.isTrickling = true;
  const { peer } = path;
  try {
    path.candidates = [];
    await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
    const reply = await ask("PATCH", path.location, {
      body: fragment(path, []), type: "application/trickle-ice-sdpfrag", headers: { ...path.headers, "If-Match": "*" },
    });
    if (reply.status === 404 || reply.status === 410) path.isUnknown = true;
    if (reply.status !== 200) throw new Error(`restart: ${reply.status}`);
    path.tag = reply.headers.get("ETag");
    await peer.setRemoteDescription({ type: "answer", sdp: renewed(peer.remoteDescription.sdp, await reply.text()) });
    path.restarts = (path.restarts || 0) + 1;
  } catch {
    if (path.isOver) return;
    // Nobody was reached: all is as before, and tried again.
    if (peer.signalingState === "have-local-offer") await peer.setLocalDescription({ type: "rollback" }).catch(() => {});
    if (path.isUnknown) return path.onGone();
    setTimeout(() => recover(path), 1_500);
  }
  path.isTrickling = false;
  goOn(path);
}

/** What was wanted while another request was under way: one at a time keeps the generations of ICE apart. */
function goOn(path) {
  if (path.mustRestart) restart(path);
  else trickle(path);
}

/** The answer that was, with the ways that a fragment names. */
function renewed(sdp, text) {
  const lines = text.split(/\r?\n/);
  const found = (name) => lines.find((line) => line.startsWith(`a=${name}:`));
  let candidates = lines.filter((line) => line.startsWith("a=candidate:"));
  return sdp.split("\r\n")
    .filter((line) => !line.startsWith("a=candidate:") && line !== "a=end-of-candidates")
    .flatMap((line) => {
      if (line.startsWith("a=ice-ufrag:")) return [found("ice-ufrag")];
      if (!line.startsWith("a=ice-pwd:")) return [line];
      const all = [found("ice-pwd"), ...candidates];
      candidates = [];
      return all;
    }).join("\r\n");
}

/** Tells the gateway of addresses that were found after the offer (RFC 8840). */
async function trickle(path) {
  if (path.isOver || !path.location || path.isTrickling || path.candidates.length === 0) return;
  path.isTrickling = true;
  await ask("PATCH", path.location, {
    body: fragment(path, path.candidates.splice(0)), type: "application/trickle-ice-sdpfrag",
    headers: { ...path.headers, "If-Match": path.tag || "*" },
  }).catch(() => {});
  path.isTrickling = false;
  goOn(path);
}

/** Our credentials, and what was found. */
function fragment(path, found) {
  const sdp = path.peer.localDescription.sdp;
  const credentials = ["ice-ufrag", "ice-pwd"].map((name) => sdp.match(new RegExp(`a=${name}:[^\r\n]*`))?.[0]);
  const lines = [...credentials];
  let section = null;
  for (const candidate of found.filter(Boolean)) {
    if (candidate.sdpMid !== section) {
      section = candidate.sdpMid;
      const kind = path.peer.getTransceivers().find((one) => one.mid === section)?.receiver.track.kind || "audio";
      lines.push(`m=${kind} 9 UDP/TLS/RTP/SAVPF 0`, `a=mid:${section}`);
    }
    lines.push(`a=${candidate.candidate}`);
  }
  if (found.includes(null)) lines.push("a=end-of-candidates");
  return lines.filter(Boolean).join("\r\n") + "\r\n";
}

/** Ends a path here. */
function closePath(path) {
  path.isOver = true;
  clearTimeout(path.patience);
  path.peer?.close();
}

/** Ends a path at the gateway too, as far as it can still be reached. */
function dropPath(path) {
  if (path.location) {
    fetch(path.location, { method: "DELETE", keepalive: true, headers: { ...path.headers } }).catch(() => {});
    path.location = null;
  }
  closePath(path);
}
