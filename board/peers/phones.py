"""Whole phones as panels: baresip and linphone register, are rung by a station, talk, and are compared by ear."""

import contextlib
import glob
import json
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
import wave

import bed
from bed import Stage, media_of, wait_for
from voice import strength

STATION = "127.0.0.10"
# Phones bind their media to every address, and the kernel then sends it from this one.
HOST = "127.0.0.1"


class Phone:
    """A program with a folder of its own, which both end with it."""

    def text(self):
        """What it logged."""
        with open(os.path.join(self.folder, "log"), errors="replace") as file:
            return file.read()

    def close(self):
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Baresip(Phone):
    """A baresip on an address of its own, steered over its TCP control port, that records what it hears."""

    def __init__(self, gateway, account, secret, address, transport="udp", codecs="PCMA,PCMU", frequency=440,
                 video=False):
        # baresip offers every codec it has loaded, whatever the account says.
        loaded = {"G722": ["g722"], "opus": ["opus"]}.get(codecs, ["g711"])
        modules = "\n".join(f"module {name}.so" for name in loaded)
        if video:
            modules += "\nmodule avcodec.so\nmodule fakevideo.so\nmodule snapshot.so\nvideo_source fakevideo,none\n" \
                       "video_display fakevideo,none\nvideo_size 320x240\nvideo_fps 15\nvideo_bitrate 200000"
        self.folder = tempfile.mkdtemp(prefix="vestibule-baresip.")
        self.address = address
        self.control_port = bed.free_port(address, socket.SOCK_STREAM)
        media = 30000 + 100 * (int(address.rsplit(".", 1)[1]) % 100)
        with open(os.path.join(self.folder, "config"), "w") as file:
            file.write(f"""poll_method epoll
sip_listen {address}:{bed.free_port(address)}
sip_trans_def udp
net_interface {address}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,null{account}
audio_source ausine,{frequency}
audio_alert none
ausrc_srate 48000
auplay_srate 48000
ausrc_channels 2
auplay_channels 2
rtp_ports {media}-{media + 99}
rtcp_mux no
module_path /usr/lib/baresip/modules
{modules}
module aubridge.so
module sndfile.so
snd_path {self.folder}
module ausine.so
module uuid.so
module_tmp account.so
module_app auloop.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{self.control_port}
""")
        port = gateway.ports[transport]
        with open(os.path.join(self.folder, "accounts"), "w") as file:
            file.write(f"<sip:{account}@vestibule.test>;auth_user={account};auth_pass={secret};"
                       f"outbound=\"sip:{bed.GATEWAY}:{port};transport={transport}\";regint=300;"
                       f"answermode=manual;audio_codecs={codecs}\n")
        open(os.path.join(self.folder, "contacts"), "w").close()
        self.process = subprocess.Popen(
            ["baresip", "-4", "-v", "-f", self.folder], stdout=open(os.path.join(self.folder, "log"), "wb"), stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, cwd=self.folder)
        bed.or_close(self, lambda: gateway.registered(account))

    def command(self, name, parameters=""):
        message = json.dumps({"command": name, "params": parameters, "token": "t"}).encode()
        with socket.create_connection((self.address, self.control_port), 2) as control:
            control.sendall(b"%d:%s," % (len(message), message))
            control.settimeout(2)
            with contextlib.suppress(TimeoutError):
                control.recv(65536)

    def recording(self):
        """The 16-bit samples of what it heard, and their rate, once there is more than half a second of it."""
        return wait_for("a recording", lambda: (lambda r: r if len(r[0]) > r[1] // 2 else None)(self.recorded()))

    def recorded(self):
        files = sorted(glob.glob(os.path.join(self.folder, "*dec*.wav")))
        if not files:
            return [], 8000
        # While it is being written it is no file yet.
        with contextlib.suppress(wave.Error, EOFError), wave.open(files[-1]) as recorded:
            frames = recorded.readframes(recorded.getnframes())
            step = 2 * recorded.getnchannels()
            samples = [int.from_bytes(frames[i:i + 2], "little", signed=True) for i in range(0, len(frames) - 1, step)]
            return samples, recorded.getframerate()
        return [], 8000


class Linphone(Phone):
    """A linphone daemon that answers by itself and plays a file into the call."""

    def __init__(self, gateway, account, secret, address, transport="tls"):
        self.folder = tempfile.mkdtemp(prefix="vestibule-linphone.")
        for part in ["home/.local/share/linphone", "home/.config/linphone", "run"]:
            os.makedirs(os.path.join(self.folder, part))
        port = gateway.ports[transport]
        with open(os.path.join(self.folder, "rc"), "w") as file:
            file.write(f"""[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
verify_server_certs=0
verify_server_cn=0
default_proxy=0
guess_hostname=0
contact=sip:{account}@{address}
bind_address={address}
[proxy_0]
reg_proxy=<sip:{bed.GATEWAY}:{port};transport={transport}>
reg_route=<sip:{bed.GATEWAY}:{port};transport={transport}>
reg_identity=sip:{account}@vestibule.test
reg_expires=300
reg_sendregister=1
publish=0
[auth_info_0]
username={account}
passwd={secret}
realm=vestibule.test
domain=vestibule.test
[sound]
playback_dev_id=
capture_dev_id=
[rtp]
audio_rtp_port=29000-29099
[video]
display=0
capture=0
automatically_initiate=0
automatically_accept=0
[net]
nat_policy_ref=none
[misc]
auto_answer=1
""")
        self.tone = os.path.join(self.folder, "tone.wav")
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=8000",
                        "-t", "20", self.tone], check=True)
        self.pipe = f"vestibule-linphone-{os.getpid()}"
        environment = {**os.environ, "HOME": os.path.join(self.folder, "home"), "LANG": "C.UTF-8", "USER": "root",
                       "XDG_RUNTIME_DIR": os.path.join(self.folder, "run")}
        self.process = subprocess.Popen(
            ["linphone-daemon", "--config", os.path.join(self.folder, "rc"), "--pipe", self.pipe,
             "--log", os.path.join(self.folder, "log"), "--disable-stats-events", "--auto-answer"],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        bed.or_close(self, lambda: gateway.registered(account))

    def command(self, line):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(3)
            control.connect("/tmp/" + self.pipe)
            control.sendall((line + "\n").encode())
            return control.recv(65536).decode()

    def play(self, is_heard):
        """Plays its tone into the call until `is_heard`. Before the call's streams run linphone says Ok and plays
        nothing, and when it builds them anew it plays no more."""
        for _ in range(8):
            with contextlib.suppress(OSError):
                self.command(f"incall-player-start {self.tone}")
            with contextlib.suppress(AssertionError):
                return wait_for("linphone is heard", is_heard, 1.5)
        raise AssertionError("linphone is not heard")


class Phones(Stage):
    def ring(self, target, talk=2500, codecs="8 0"):
        """Rings `target` from the trusted station with a 700 Hz voice; gives the call and the voice back."""
        voice = self.voice(STATION, 700)
        call = self.sipp("station_call", STATION, keys={
            "media": voice.port, "talk": talk, "caller": target, "target": target, "codecs": codecs})
        return call, voice

    def baresip(self, account, address, **options):
        phone = Baresip(self.gateway, account, self.secret(account), address, **options)
        self.stack.callback(phone.close)
        return phone

    def converse(self, phone, call, voice):
        """A baresip is rung, answers, and hears the visitor, who hears it."""
        wait_for("baresip rings", lambda: "Incoming call" in phone.text())
        phone.command("accept")
        call.wait_until_received("SIP/2.0 200 OK", 15)
        voice.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        wait_for("the visitor hears 440 Hz", lambda: voice.hears(440) > 0.7, 5)
        call.finish()
        samples, rate = phone.recording()
        middle = samples[len(samples) // 2 - rate // 4: len(samples) // 2 + rate // 4]
        self.assertGreater(strength(middle, 700, rate), 0.7, "the panel heard the visitor's tone")

    def test_baresip_answers_and_both_hear_the_other(self):
        phone = self.baresip("panel402", HOST)
        call, voice = self.ring("402")
        self.converse(phone, call, voice)

    def test_baresip_with_g722_only_is_transcoded(self):
        phone = self.baresip("panel401", HOST, codecs="G722")
        call, voice = self.ring("panel401", codecs="8")
        self.converse(phone, call, voice)
        legs = {leg["account"]: leg for leg in self.gateway.last_record()["legs"]}
        self.assertEqual(legs["panel401"]["codec"].upper(), "G722")

    def test_baresip_with_opus_only_is_transcoded(self):
        phone = self.baresip("panel401", HOST, codecs="opus")
        call, voice = self.ring("panel401", codecs="8", talk=4000)
        self.converse(phone, call, voice)
        legs = {leg["account"]: leg for leg in self.gateway.last_record()["legs"]}
        self.assertEqual(legs["panel401"]["codec"].lower(), "opus")
        # Loopback loses nothing, but a busy machine may come late at the beginning.
        self.assertGreater(legs["panel401"]["mos"], 3.5)
        self.assertLess(legs["panel401"]["jitter"], 40)

    def test_baresip_with_mu_law_only_is_transcoded(self):
        phone = self.baresip("kitchen401", HOST, codecs="PCMU", transport="tcp")
        call, voice = self.ring("kitchen401", codecs="8")
        self.converse(phone, call, voice)

    def test_linphone_over_tls_answers_and_is_heard(self):
        phone = Linphone(self.gateway, "mobile401", self.secret("mobile401"), "127.0.0.44")
        self.stack.callback(phone.close)
        call, voice = self.ring("mobile401", talk=20000)
        call.wait_until_received("SIP/2.0 200 OK", 15)
        voice.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        phone.play(lambda: voice.hears(1000) > 0.7)
        wait_for("the visitor has spoken for more than a second", lambda: voice.sent > 60)
        call.end()
        legs = {leg["account"]: leg for leg in self.gateway.last_record()["legs"]}
        self.assertGreater(legs["mobile401"]["packetsOut"], 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
