"""A camera of the USB video class that is plugged in and pulled out by word of mouth.

    usb_camera.py <WORDS >EVENTS

It is a USB/IP server for the kernel it runs on: vhci-hcd gives the other end of a socket to the USB core as a device in one
of its ports, and uvcvideo binds to it as to any camera. Closing the socket is the plug being pulled. The kernel's own UVC
gadget (usb_f_uvc) will not do: it streams isochronously only, and dummy_hcd, the one controller that needs no board, does
not carry that.

Its pictures are white on the left and black on the right: YUYV at ten a second at most, Motion JPEG at up to 25. As most
cameras do, it leaves the Huffman tables out of its JPEG.

Words, one in a line:
  plug [PORT]      into that port, 0 at first
  unplug
  pull EVENT       pulls the plug when that happens next
Events: plugged, unplugged, probe, control, commit FORMAT RATE, stream (first picture fetched), stopped.
"""

import os
import select
import socket
import struct
import sys
import time

WIDTH, HEIGHT = 320, 180
ATTACH = "/sys/devices/platform/vhci_hcd.0/attach"
HIGH_SPEED, DEVICE = 3, 0x10002
SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
STALL, RESET = -32, -104
# Of one transfer; as much as uvcvideo takes at once.
PAYLOAD = 32 * 512
IN = 0x81

# --- Pictures ----------------------------------------------------------------------------------------------------


def yuyv():
    half = WIDTH // 4
    return (bytes((235, 128, 235, 128)) * half + bytes((16, 128, 16, 128)) * half) * HEIGHT


def jpeg():
    """Baseline 4:2:2 of flat blocks: nothing but the constant of each, by the tables of ITU T.81 Annex K."""
    codes = ("00", "010", "011", "100", "101", "110", "1110", "11110", "111110", "1111110")
    bits, before = [], 0
    for _ in range((HEIGHT + 7) // 8):
        for column in range(WIDTH // 16):
            level = 127 if column < WIDTH // 32 else -128
            for _ in range(2):
                step, before = level - before, level
                size = abs(step).bit_length()
                bits.append(codes[size])
                if size:
                    bits.append(format(step if step > 0 else step + (1 << size) - 1, f"0{size}b"))
                bits.append("1010")
            bits.append("0000" * 2)
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    scan = int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")
    tables = b"\xff\xdb\x00\x84" + b"\x00" + b"\x08" * 64 + b"\x01" + b"\x08" * 64
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, HEIGHT, WIDTH, 3) + bytes((1, 0x21, 0, 2, 0x11, 1, 3, 0x11, 1))
    start = b"\xff\xda\x00\x0c\x03" + bytes((1, 0, 2, 0x11, 3, 0x11, 0, 63, 0))
    return b"\xff\xd8" + tables + frame + start + scan + b"\xff\xd9"


def payloads(picture, parity):
    """The picture in transfers, each with the two bytes of head that it may have at the least."""
    room = PAYLOAD - 2
    parts = [picture[at:at + room] for at in range(0, len(picture), room)]
    return [bytes((2, 0x80 | parity | (2 if part is parts[-1] else 0))) + part for part in parts]


# --- Descriptors (USB 2.0 chapter 9, USB Video Class 1.1) --------------------------------------------------------

YUYV, MJPEG = 1, 2
RATES = {YUYV: (10, 5), MJPEG: (25, 10, 5)}
SIZES = {YUYV: WIDTH * HEIGHT * 2, MJPEG: WIDTH * HEIGHT}


def described(kind, layout, *values):
    body = struct.pack("<B" + layout, kind, *values)
    return bytes((len(body) + 1,)) + body


def specific(layout, *values):
    return described(0x24, layout, *values)


def frame(kind, form):
    intervals = [10_000_000 // rate for rate in RATES[form]]
    bits = SIZES[form] * 8
    return specific(
        f"BBBHHIIIIB{len(intervals)}I", kind, 1, 0, WIDTH, HEIGHT, bits * RATES[form][-1], bits * RATES[form][0],
        SIZES[form], intervals[0], len(intervals), *intervals)


def configuration():
    units = (
        specific("BBHBBHHHB3s", 2, 1, 0x0201, 0, 0, 0, 0, 0, 3, bytes(3))  # the sensor
        + specific("BBBHB2sBB", 5, 2, 1, 0, 2, b"\x01\x00", 0, 0)  # brightness
        + specific("BBHBBB", 3, 3, 0x0101, 0, 2, 0))  # towards USB
    control = specific("BHHIBB", 1, 0x0110, 13 + len(units), 48_000_000, 1, 1) + units
    guid = b"YUY2" + bytes.fromhex("00001000800000aa00389b71")
    colours = specific("BBBB", 13, 1, 1, 4)
    formats = (
        specific("BBB16sBBBBBB", 4, YUYV, 1, guid, 16, 1, 0, 0, 0, 0) + frame(5, YUYV) + colours
        + specific("BBBBBBBBB", 6, MJPEG, 1, 1, 1, 0, 0, 0, 0) + frame(7, MJPEG) + colours)
    stream = specific("BBHBBBBBBBBB", 1, 2, 15 + len(formats), IN, 0, 3, 0, 0, 0, 1, 0, 0) + formats
    body = (
        described(11, "BBBBBB", 0, 2, 14, 3, 0, 0)
        + described(4, "BBBBBBB", 0, 0, 0, 14, 1, 0, 0) + control
        + described(4, "BBBBBBB", 1, 0, 1, 14, 2, 0, 0) + stream
        + described(5, "BBHB", IN, 2, 512, 0))
    return described(2, "HBBBBB", 9 + len(body), 2, 1, 0, 0x80, 50) + body


DESCRIPTORS = {
    (1, 0): described(1, "HBBBBHHHBBBB", 0x200, 0xEF, 2, 1, 64, 0x1D6B, 0x0102, 0x100, 1, 2, 3, 1),
    (2, 0): configuration(),
    (3, 0): described(3, "H", 0x0409),
}
for place, text in enumerate(("Vestibule", "Test Camera", "0001"), 1):
    DESCRIPTORS[3, place] = described(3, f"{2 * len(text)}s", text.encode("utf-16-le"))

SET, CURRENT, LEAST, MOST, STEP, LENGTH, INFORMATION, DEFAULT = 1, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87


class Camera:
    """One camera from its plug to its end."""

    def __init__(self, port, tell):
        self.tell = tell
        self.kernel, self.line = socket.socketpair()
        self.line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.brightness = 128
        self.setting = (MJPEG, RATES[MJPEG][0])
        self.wanted, self.parts, self.parity = [], [], 0
        self.due, self.streams = None, False
        with open(ATTACH, "w") as attach:
            attach.write(f"{port} {self.kernel.fileno()} {DEVICE} {HIGH_SPEED}")
        self.kernel.close()

    def close(self):
        self.line.close()

    def read(self, count):
        taken = b""
        while len(taken) < count:
            part = self.line.recv(count - len(taken))
            if not part:
                raise ConnectionError
            taken += part
        return taken

    def receive(self):
        head = self.read(48)
        command, number, _, is_in, endpoint = struct.unpack(">5I", head[:20])
        if command == UNLINK:
            victim = struct.unpack(">I", head[20:24])[0]
            was_there = any(one == victim for one, _ in self.wanted)
            self.wanted = [one for one in self.wanted if one[0] != victim]
            self.line.sendall(struct.pack(">5Ii24x", UNLINKED, number, 0, 0, 0, RESET if was_there else 0))
            return
        length = struct.unpack(">I", head[24:28])[0]
        if endpoint:
            self.wanted.append((number, length))
            return
        data = b"" if is_in else self.read(length)
        told = self.control(*struct.unpack("<BBHHH", head[40:48]), data)
        if told is None:
            self.reply(number, STALL, b"", 0)
        else:
            self.reply(number, 0, told[:length] if is_in else b"", 0 if is_in else length)

    def reply(self, number, status, data, taken):
        self.line.sendall(
            struct.pack(">5IiI4I4x", SUBMITTED, number, 0, 0, 0, status, len(data) or taken, 0, 0, 0, 0) + data)

    def control(self, kind, request, value, index, length, data):
        """The answer to a request, None for a refusal."""
        if (kind, request) == (0x80, 6):
            return DESCRIPTORS.get((value >> 8, value & 255))
        if kind & 0x60 == 0:
            if (kind, request) == (2, 1):
                self.halt()
            return bytes(2)
        selector, unit = value >> 8, index >> 8
        if index & 255 == 1 and selector in (1, 2):
            return self.negotiate(selector, request, data)
        if (unit, selector) == (2, 2):
            if request == SET:
                self.tell("control")
                self.brightness = struct.unpack("<h", data)[0]
                return b""
            if request == INFORMATION:
                return b"\x03"
            known = {CURRENT: self.brightness, LEAST: 0, MOST: 255, STEP: 1, DEFAULT: 128}
            return struct.pack("<h", known[request]) if request in known else None
        return None

    def negotiate(self, selector, request, data):
        """Probe and commit (UVC 1.1, 4.3.1.1)."""
        if request == LENGTH:
            return struct.pack("<H", 34)
        if request == INFORMATION:
            return b"\x03"
        if request == SET:
            form, rate = data[2], 10_000_000 // max(1, struct.unpack("<I", data[4:8])[0])
            form = form if form in RATES else MJPEG
            self.setting = (form, min(RATES[form], key=lambda one: abs(one - rate)))
            self.tell("probe" if selector == 1 else f"commit {('YUYV', 'MJPEG')[form - 1]} {self.setting[1]}")
            if selector == 2:
                picture = (yuyv, jpeg)[form - 1]()
                self.pictures = [payloads(picture, 0), payloads(picture, 1)]
                self.due = time.monotonic()
            return b""
        form, rate = self.setting
        if request in (LEAST, MOST):
            rate = RATES[form][0 if request == LEAST else -1]
        return struct.pack(
            "<HBBIHHHHHIIIBBBB", 0, form, 1, 10_000_000 // rate, 0, 0, 0, 0, 0, SIZES[form], PAYLOAD, 48_000_000, 0, 0, 0, 0)

    def halt(self):
        if self.due:
            self.tell("stopped")
        self.due, self.parts, self.streams = None, [], False

    def pause(self):
        """Seconds until something is to be sent; None when there is nothing."""
        if not self.wanted or self.due is None:
            return None
        return 0 if self.parts else max(0, self.due - time.monotonic())

    def advance(self):
        now = time.monotonic()
        if self.due is not None and self.wanted and not self.parts and now >= self.due:
            if not self.streams:
                self.streams = True
                self.tell("stream")
            self.parity ^= 1
            self.parts = list(self.pictures[self.parity])
            interval = 1 / self.setting[1]
            self.due = max(self.due + interval, now - interval)
        while self.parts and self.wanted:
            number, _ = self.wanted.pop(0)
            self.reply(number, 0, self.parts.pop(0), 0)


class Pulled(Exception):
    pass


class Plug:
    """What is plugged in, or nothing."""

    def __init__(self):
        self.camera, self.pull = None, None

    def tell(self, event):
        print(event, flush=True)
        if self.pull and event.split()[0] == self.pull:
            self.pull = None
            raise Pulled

    def plug(self, port):
        # The kernel takes a moment to see that the port is free again.
        end = time.monotonic() + 10
        while self.camera is None:
            try:
                self.camera = Camera(port, self.tell)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        print("plugged", flush=True)

    def unplug(self):
        if self.camera:
            self.camera.close()
            self.camera = None
            print("unplugged", flush=True)

    def obey(self, words):
        if words[:1] == ["plug"]:
            self.plug(int(words[1]) if len(words) > 1 else 0)
        elif words == ["unplug"]:
            self.unplug()
        elif words[:1] == ["pull"]:
            self.pull = words[1]

    def run(self):
        waiting = b""
        while True:
            sources = [0] + ([self.camera.line] if self.camera else [])
            ready, _, _ = select.select(sources, [], [], self.camera and self.camera.pause())
            if 0 in ready:
                part = os.read(0, 4096)
                if not part:
                    return
                *lines, waiting = (waiting + part).split(b"\n")
                for line in lines:
                    self.obey(line.decode().split())
            if self.camera is None:
                continue
            try:
                if self.camera.line in ready:
                    self.camera.receive()
                self.camera.advance()
            except (Pulled, OSError):
                self.unplug()


if __name__ == "__main__":
    Plug().run()
