"""A media endpoint that sends a tone, and says which tone came back."""

import math
import os
import socket
import struct
import threading
import time


def a_law(sample):
    """One 16-bit sample as G.711 A-law."""
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(abs(sample) >> 3 if sample >= 0 else (abs(sample) - 1) >> 3, 0xFFF)
    if magnitude < 32:
        code = magnitude >> 1
    else:
        exponent = magnitude.bit_length() - 5
        code = (exponent << 4) | ((magnitude >> exponent) & 0x0F)
    return (code | sign) ^ 0x55


def from_a_law(byte):
    byte ^= 0x55
    exponent, mantissa = (byte & 0x70) >> 4, byte & 0x0F
    value = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return value if byte & 0x80 else -value


def from_mu_law(byte):
    byte ^= 0xFF
    value = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - value if byte & 0x80 else value - 0x84


def strength(samples, frequency, rate=8000):
    """How much of the energy of `samples` lies at `frequency`: 0 to about 1 (Goertzel)."""
    if not samples:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    first = second = energy = 0.0
    for sample in samples:
        first, second = sample + coefficient * first - second, first
        energy += sample * sample
    power = first * first + second * second - coefficient * first * second
    return 2 * power / (len(samples) * energy) if energy else 0.0


class Voice:
    """A phone's RTP side: sends a tone from one socket every 20 ms, keeps what comes back. `frames`: a second of coded sound in
    place of the tone in A-law, each of so many `ticks`."""

    def __init__(self, address, frequency, payload_type=8, decode=from_a_law, frames=None, ticks=160):
        while True:
            self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.rtp.bind((address, 0))
            self.port = self.rtp.getsockname()[1]
            self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                if self.port % 2 == 0:
                    self.rtcp.bind((address, self.port + 1))
                    break
            except OSError:
                pass
            self.rtp.close()
            self.rtcp.close()
        self.rtp.settimeout(0.005)
        self.frequency = frequency
        self.address, self.payload_type, self.decode = address, payload_type, decode
        period = bytes(a_law(int(8000 * math.sin(2 * math.pi * frequency * n / 8000))) for n in range(8000))
        self.frames, self.ticks = frames or [period[start:start + 160] for start in range(0, 8000, 160)], ticks
        self.remote = None
        self.received, self.reports, self.sent = [], 0, 0
        self.sequence, self.timestamp, self.ssrc = 1000, 16000, int.from_bytes(os.urandom(4), "big")
        self.running = True
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def send_to(self, address, port):
        self.remote = (address, port)

    def work(self):
        next_send = time.monotonic()
        while self.running:
            now = time.monotonic()
            if self.remote and now >= next_send:
                header = struct.pack("!BBHII", 0x80, self.payload_type, self.sequence & 0xFFFF,
                                     self.timestamp & 0xFFFFFFFF, self.ssrc)
                with self.lock:
                    self.rtp.sendto(header + self.frames[self.sent % len(self.frames)], self.remote)
                    self.sequence += 1
                    self.timestamp += self.ticks
                self.sent += 1
                next_send = max(next_send + 0.02, now - 0.1)
            try:
                packet, source = self.rtp.recvfrom(2048)
            except (TimeoutError, OSError):
                continue
            if len(packet) >= 12:
                self.received.append((source, packet))

    def key(self, digit, payload_type=101):
        """Presses a key: RFC 4733, three packets with the end marked, as phones do."""
        event = "0123456789*#ABCD".index(digit)
        with self.lock:
            stamp = self.timestamp
            for step, end in [(1, 0), (2, 0), (3, 0x80), (3, 0x80), (3, 0x80)]:
                header = struct.pack("!BBHII", 0x80, payload_type | (0x80 if step == 1 else 0),
                                     self.sequence & 0xFFFF, stamp & 0xFFFFFFFF, self.ssrc)
                self.rtp.sendto(header + struct.pack("!BBH", event, end | 10, step * 160), self.remote)
                self.sequence += 1
            self.timestamp += 480

    def packets(self, payload_type=None):
        return [p for _, p in list(self.received) if payload_type is None or p[1] & 0x7F == payload_type]

    def hears(self, frequency, payload_type=8, decode=None):
        """The share of the last second of what was received that is a tone of `frequency`."""
        audio = [p[12:] for p in self.packets(payload_type)][-50:]
        decode = decode or self.decode
        return strength([decode(b) for part in audio for b in part], frequency)

    def close(self):
        self.running = False
        self.thread.join()
        self.rtp.close()
        self.rtcp.close()
