"""A bad network in user space: datagrams between one address of ours and a server's, some of them lost, late or out of
order, or only so many a second. Players reach the server through it when the addresses in the answer are replaced by `candidate()`.

Good for some thousand packets a second; what it draws is the same each time.
"""

import heapq
import random
import re
import select
import socket
import threading
import time

from whep_client import own_address


class Impairment:
    """From players to `server` and back; each player has a socket of its own towards the server. Shares are 0 to 1,
    times seconds. They may be changed while it works. `rate`: what goes to players, in bits a second; what would have to
    wait for longer than `queue` is lost."""

    def __init__(self, server, loss=0.0, delay=0.0, jitter=0.0, reorder=0.0, rate=None, queue=0.4, seed=1):
        self.server = server
        self.loss, self.delay, self.jitter, self.reorder = loss, delay, jitter, reorder
        self.rate, self.queue, self.free = rate, queue, 0.0
        self.random = random.Random(seed)
        self.front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.front.bind((own_address(), 0))
        self.address = self.front.getsockname()
        self.backs = {}
        self.passed = self.dropped = 0
        self.running = True
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def candidate(self):
        return f"candidate:1 1 udp 2130706431 {self.address[0]} {self.address[1]} typ host"

    @staticmethod
    def server_of(answer):
        """The address of a description's first candidate by UDP and IPv4."""
        match = re.search(r"a=candidate:\S+ 1 udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) typ host", answer, re.IGNORECASE)
        return match[1], int(match[2])

    def work(self):
        waiting, count, last = [], 0, {}
        poll = select.poll()
        poll.register(self.front, select.POLLIN)
        ends = {self.front.fileno(): self.front}
        players = {}
        while self.running:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, out, data, to = heapq.heappop(waiting)
                try:
                    out.sendto(data, to)
                except OSError:
                    pass
            rest = min(0.2, waiting[0][0] - now) if waiting else 0.2
            for number, _ in poll.poll(max(0, rest) * 1000):
                end = ends[number]
                try:
                    data, source = end.recvfrom(65536)
                except OSError:
                    continue
                if end is self.front:
                    if source not in self.backs:
                        back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                        back.bind((self.address[0], 0))
                        self.backs[source] = back
                        players[back.fileno()] = source
                        ends[back.fileno()] = back
                        poll.register(back, select.POLLIN)
                    out, to = self.backs[source], self.server
                else:
                    out, to = self.front, players[number]
                # The way there is as bad as the way back.
                if self.random.random() < self.loss:
                    self.dropped += 1
                    continue
                at = time.monotonic()
                if self.rate and end is not self.front:
                    at = max(at, self.free) + 8 * (len(data) + 28) / self.rate
                    if at - time.monotonic() > self.queue:
                        self.dropped += 1
                        continue
                    self.free = at
                self.passed += 1
                at += self.delay + abs(self.random.gauss(0, self.jitter))
                if self.random.random() < self.reorder:
                    # Behind some that were sent after it.
                    at += 0.02
                else:
                    at = max(at, last.get((out, to), 0))
                    last[out, to] = at
                count += 1
                heapq.heappush(waiting, (at, count, out, data, to))

    def close(self):
        self.running = False
        self.thread.join()
        for end in [self.front, *self.backs.values()]:
            end.close()
