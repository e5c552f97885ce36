"""A relay for browsers: Debian's coturn, which lends to `resident` with the password `secret`."""

import os
import socket
import subprocess

import bed


class Relay:
    """A coturn at this address; its log is in the folder."""

    def __init__(self, address, folder, port=None):
        self.address, self.port = address, port or bed.free_port(address)
        self.url = f"turn:{address}:{self.port}"
        self.path = os.path.join(folder, "turn.log")
        self.log = open(self.path, "wb")
        self.process = subprocess.Popen(
            ["turnserver", "-n", "--lt-cred-mech", "--realm", "relay.test", "--user", "resident:secret", "-L", address,
             "-E", address, "-p", str(self.port), "--no-tls", "--no-dtls", "--no-cli", "--allow-loopback-peers",
             "--pidfile", os.path.join(folder, "turn.pid"), "--log-file", "stdout"], stdout=self.log, stderr=self.log)
        bed.or_close(self, lambda: bed.wait_for("the relay is up", self.answers))

    def answers(self):
        """Whether it answers STUN."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            probe.sendto(bytes.fromhex("000100002112a442") + bytes(12), (self.address, self.port))
            try:
                return probe.recv(100)[:2] == b"\x01\x01"
            except OSError:
                return False

    def text(self):
        """What it logged."""
        with open(self.path, errors="replace") as file:
            return file.read()

    def server(self):
        """As a page names it among its `iceServers`."""
        return {"urls": self.url, "username": "resident", "credential": "secret"}

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
