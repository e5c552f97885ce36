"""A camera that answers as Akuvox door stations do, and worse: RTSP by hand, pictures of ffmpeg's.

What it does is known from reports of those who met one; every habit can be switched on by itself.
"""

import hashlib
import random
import re
import socket
import struct
import subprocess
import threading
import time

SERVER = "AK VRTSPD / Streaming Server v0.1"


def pictures(codec="libx264", seconds=2):
    """The NAL units of a few seconds of a test picture, one list a picture; the first is a key picture."""
    options = ["-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p"]
    if codec == "libx264":
        options += ["-profile:v", "baseline", "-bsf:v", "dump_extra", "-x264-params", "sliced-threads=0:aud=1"]
    else:
        options += ["-x265-params", "log-level=none:aud=1:repeat-headers=1:bframes=0"]
    stream = subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size=320x240:rate=25:duration={seconds}", "-c:v", codec,
         *options, "-f", "h264" if codec == "libx264" else "hevc", "-"], stdout=subprocess.PIPE, check=True).stdout
    units = [unit.rstrip(b"\0") for unit in re.split(b"\0\0\0?\x01", stream) if unit]
    result = []
    for unit in units:
        kind = unit[0] & 0x1F if codec == "libx264" else unit[0] >> 1
        if kind == (9 if codec == "libx264" else 35):
            result.append([])
        result[-1].append(unit)
    return result


def payloads(unit, hevc=False, limit=1200):
    """RTP payloads of one NAL unit: itself, or fragments."""
    if len(unit) <= limit:
        return [unit]
    if hevc:
        head, kind, body = bytes([unit[0] & 0x81 | 49 << 1, unit[1]]), unit[0] >> 1 & 63, unit[2:]
    else:
        head, kind, body = bytes([unit[0] & 0xE0 | 28]), unit[0] & 31, unit[1:]
    parts = [body[start:start + limit] for start in range(0, len(body), limit)]
    return [
        head + bytes([(0x80 if place == 0 else 0) | (0x40 if place == len(parts) - 1 else 0) | kind]) + part
        for place, part in enumerate(parts)
    ]


class Akuvox:
    """One camera at `address:port`. Habits:
      user, password      digest is asked for, with MD5 and no quality of protection
      answers_tcp_with_udp    a TCP SETUP gets `RTP/AVP;unicast;mode=play;client_port=;server_port=…`
      refuses_tcp         a TCP SETUP gets this status
      names_ports         `client_port` is repeated in answers to UDP
      mute                plays, and sends nothing
      places              so many sessions at a time; the next DESCRIBE gets 453
      hevc                sends H.265 and calls it H.264
      endless             its answer to DESCRIBE is headers without end
      stale_after         a nonce is good for so many requests
    """

    def __init__(self, address, port, codec="libx264", **habits):
        self.habits = {"answers_tcp_with_udp": True, "names_ports": False, "places": 8, **habits}
        self.address, self.port = address, port
        self.frames = pictures(codec)
        self.hevc = codec != "libx264"
        self.requests, self.reports, self.sessions, self.threads = [], [], {}, []
        self.nonce, self.used = f"{random.getrandbits(64):x}", 0
        self.lock = threading.Lock()
        self.frozen = False
        self.start()

    def start(self):
        self.running = True
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((self.address, self.port))
        self.listener.listen(8)
        self.streams = []
        self.begin(self.accept)
        self.begin(self.send)

    def begin(self, work, *words):
        thread = threading.Thread(target=work, args=words, daemon=True)
        thread.start()
        self.threads.append(thread)

    def close(self):
        """It is switched off: its connections break."""
        self.running = False
        for stream in [self.listener, *self.streams]:
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()
        for thread in self.threads:
            if thread is not threading.current_thread():
                thread.join(3)
        self.threads = []
        with self.lock:
            for session in self.sessions.values():
                session["socket"].close()
            self.sessions = {}

    def accept(self):
        while self.running:
            try:
                stream, peer = self.listener.accept()
            except OSError:
                return
            self.streams.append(stream)
            self.begin(self.serve, stream, peer)

    def serve(self, stream, peer):
        data, name = b"", f"{random.getrandbits(32):08d}"
        while self.running:
            try:
                more = stream.recv(4096)
            except OSError:
                break
            if not more:
                break
            data += more
            while b"\r\n\r\n" in data:
                head, data = data.split(b"\r\n\r\n", 1)
                try:
                    stream.sendall(self.answer(head.decode(), name, peer))
                except OSError:
                    break
        self.end(name)
        stream.close()

    def end(self, name):
        with self.lock:
            session = self.sessions.pop(name, None)
        if session:
            session["socket"].close()

    def answer(self, head, name, peer):
        lines = head.split("\r\n")
        method, uri, _ = lines[0].split(" ")
        fields = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines[1:])}
        self.requests.append((method, fields))

        def reply(status, *more, body=""):
            length = [f"Content-Length: {len(body)}"] if body else []
            return "\r\n".join(
                [f"RTSP/1.0 {status}", f"CSeq: {fields['cseq']}", f"Server: {SERVER}", *more, *length, "", body]).encode()

        if self.habits.get("user"):
            challenge = self.challenge(method, uri, fields.get("authorization", ""))
            if challenge:
                return reply("401 Unauthorized", challenge)
        if method == "DESCRIBE":
            if self.habits.get("endless"):
                return b"RTSP/1.0 200 OK\r\n" + b"X-Filler: and so on\r\n" * 100_000
            if len(self.sessions) >= self.habits["places"]:
                return reply("453 Not Enough Bandwidth")
            body = ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Unnamed\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=tool:vlc 2.2.4\r\n"
                    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:trackID=0\r\n")
            return reply("200 OK", "Content-Type: application/sdp", f"Content-Base: {uri}", body=body)
        if method == "SETUP":
            return self.set_up(name, peer, fields["transport"], reply)
        if method == "PLAY":
            with self.lock:
                if name in self.sessions:
                    self.sessions[name]["plays"] = True
            return reply("200 OK", f"Session: {name}")
        if method == "TEARDOWN":
            self.end(name)
            return reply("200 OK")
        if method == "OPTIONS":
            return reply("200 OK", "Public: DESCRIBE,SETUP,TEARDOWN,PLAY,PAUSE,GET_PARAMETER")
        return reply("200 OK", f"Session: {name}")

    def challenge(self, method, uri, given):
        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()

        self.used += 1
        limit = self.habits.get("stale_after")
        if limit and self.used > limit:
            self.nonce, self.used = f"{random.getrandbits(64):x}", 0
        first = md5(f"{self.habits['user']}:AKUVOX:{self.habits['password']}")
        wanted = md5(f"{first}:{self.nonce}:{md5(f'{method}:{uri}')}")
        if f'response="{wanted}"' in given:
            return None
        return f'WWW-Authenticate: Digest realm="AKUVOX", nonce="{self.nonce}"'

    def set_up(self, name, peer, transport, reply):
        if "/TCP" in transport and self.habits.get("refuses_tcp"):
            return reply(self.habits["refuses_tcp"])
        if "/TCP" in transport and not self.habits["answers_tcp_with_udp"]:
            return reply("461 Unsupported Transport")
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.bind((self.address, 0))
        own = sender.getsockname()[1]
        asked = re.search(r"client_port=(\d+)", transport)
        port = int(asked.group(1)) if asked else None
        said = f"{port}-{port + 1}" if port and self.habits["names_ports"] else ""
        with self.lock:
            self.sessions[name] = {"socket": sender, "to": (peer[0], port) if port else None, "plays": False,
                                   "number": random.randrange(65536), "source": random.getrandbits(32)}
        return reply("200 OK", f"Session: {name}",
                     f"Transport: RTP/AVP;unicast;mode=play;client_port={said};server_port={own}-{own + 1}")

    def send(self):
        place, due = 0, time.monotonic()
        while self.running:
            due += 0.04
            time.sleep(max(0, due - time.monotonic()))
            if self.frozen or self.habits.get("mute"):
                continue
            frame = self.frames[place % len(self.frames)]
            pieces = [piece for unit in frame for piece in payloads(unit, self.hevc)]
            with self.lock:
                playing = [session for session in self.sessions.values() if session["plays"] and session["to"]]
                for session in playing:
                    for index, piece in enumerate(pieces):
                        last = 0x80 if index == len(pieces) - 1 else 0
                        head = struct.pack("!BBHII", 0x80, last | 96, session["number"], place * 3600, session["source"])
                        session["number"] = (session["number"] + 1) % 65536
                        session["socket"].sendto(head + piece, session["to"])
            place += 1
