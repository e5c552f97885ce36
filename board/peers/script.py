"""sipp scenarios written as steps: who sends what, and what it waits for. The files in `sipp/` came first; a
conversation with turns of its own is shorter here.

    script("panel answers", rung(), rings(), answers(), hears("ACK"), hears("BYE"), says("200 OK"))

A keyword in brackets is sipp's, or of the run's `keys`. What a later step needs of a message (where the other side
wants its requests, its tag) is remembered by itself.
"""

import re


class Script:
    def __init__(self, name, text):
        self.name, self.text = name, text


def script(name, *steps):
    text = "".join(steps)
    # sipp refuses a variable that nothing reads.
    text = re.sub(r"@(\w+)\|(.*?)@", lambda kept: kept[2] if f"[${kept[1]}]" in text else "", text)
    text = text.replace("<action></action>", "")
    return Script(name, f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
                        f'<scenario name="{name}">\n{text}</scenario>\n')


def sdp(direction="sendrecv", version=1, audio="8 101", port="[media]", more=""):
    return (f"v=0\no=- 88 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\n"
            f"m=audio {port} RTP/AVP {audio}\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\n"
            f"a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\na=ptime:20\na={direction}\n{more}")


VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]\n"
CONTACT = "Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n"
CALLER = 'From: "Gate" <sip:[caller]@[from]>;tag=[pid]S[call_number]\n'


def remember(variable, header, regexp=".*"):
    return f'@{variable}|<ereg regexp="{regexp}" search_in="hdr" header="{header}:" assign_to="{variable}"/>@'


def send(text, body="", type="application/sdp", retrans=True):
    again = ' retrans="500"' if retrans else ""
    if body:
        text += f"Content-Type: {type}\n"
    return f"  <send{again}><![CDATA[\n{text}Content-Length: [len]\n\n{body}\n]]></send>\n"


def waits(milliseconds):
    return f'  <pause milliseconds="{milliseconds}"/>\n'


def talks():
    """Waits for `[talk]` milliseconds, or until `Sipp.go_on`."""
    return '  <recv request="MESSAGE" timeout="[talk]" ontimeout="9"/>\n  <label id="9"/>\n'


def hears(what, optional=False, check=()):
    """Waits for a request or a status; `check` are pairs of a header and what it must match."""
    kind = "response" if what[0].isdigit() or what[0] == "[" else "request"
    more = ' optional="true"' if optional else ""
    looks = "".join(f'<ereg regexp="{regexp}" search_in="hdr" header="{header}:" check_it="true" assign_to="c{i}"/>'
                    f'<log message="[$c{i}]"/>' for i, (header, regexp) in enumerate(check))
    return f'  <recv {kind}="{what}"{more}><action>{looks}</action></recv>\n'


def says(status, headers="", body=""):
    """Replies to the request heard last, inside a dialog."""
    return send(f"SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n"
                f"{CONTACT}{headers}", body, retrans=False)


# --- who is called ---


def rung(check=()):
    looks = "".join(f'<ereg regexp="{regexp}" search_in="hdr" header="{header}:" check_it="true" assign_to="r{i}"/>'
                    f'<log message="[$r{i}]"/>' for i, (header, regexp) in enumerate(check))
    kept = (remember("target", "Contact", "sip:[^&gt;]*") + remember("via", "Via") + remember("cseq", "CSeq")
            + remember("theirs", "From") + remember("called", "To"))
    return f'  <recv request="INVITE" crlf="true"><action>{looks}{kept}</action></recv>\n'


def responds(status, headers="", body="", retrans=True):
    """Responds to the INVITE that rang, whatever was heard since."""
    return send(f"SIP/2.0 {status}\nVia:[$via]\nFrom:[$theirs]\nTo:[$called];tag=[pid]P[call_number]\n"
                f"[last_Call-ID:]\nCSeq:[$cseq]\n{CONTACT}{headers}", body, retrans=retrans)


def rings(headers=""):
    return responds("180 Ringing", headers, retrans=False)


def answers(body=None, headers=""):
    return responds("200 OK", headers, body or sdp()) + hears("ACK")


def asks(method, cseq, headers="", body="", type="application/sdp"):
    """A request of the called side inside the dialog."""
    return send(f"{method} [$target] SIP/2.0\n{VIA}From:[$called];tag=[pid]P[call_number]\nTo:[$theirs]\n"
                f"[last_Call-ID:]\nCSeq: {cseq} {method}\n{CONTACT}Max-Forwards: 70\n{headers}", body, type,
                retrans=method != "ACK")


def hung_up():
    return hears("BYE") + says("200 OK")


# --- who calls ---


def invites(headers="", body=None, digest=False, type="application/sdp"):
    """INVITE sip:[target]@vestibule.test, challenged if `digest`, then whatever comes before the final response."""

    def invite(cseq, more=""):
        return send(f"INVITE sip:[target]@vestibule.test SIP/2.0\n{VIA}{CALLER}To: <sip:[target]@vestibule.test>\n"
                    f"Call-ID: [call_id]\nCSeq: {cseq} INVITE\n{CONTACT}Max-Forwards: 70\n{more}{headers}"
                    f"Allow: INVITE, INFO, PRACK, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REFER, UPDATE\n",
                    sdp() if body is None else body, type)

    if not digest:
        return invite(1)
    return (invite(1) + hears("100", optional=True) + '  <recv response="401" auth="true"/>\n' + unacknowledged(1)
            + invite(2, "[authentication]\n"))


def provisional():
    return "".join(hears(status, optional=True) for status in ("100", "180", "183"))


def unacknowledged(cseq):
    """ACK to a refusal."""
    return send(f"ACK sip:[target]@vestibule.test SIP/2.0\n[last_Via:]\n{CALLER}[last_To:]\nCall-ID: [call_id]\n"
                f"CSeq: {cseq} ACK\nMax-Forwards: 70\n", retrans=False)


def refused(status, cseq=1):
    return provisional() + hears(status) + unacknowledged(cseq)


def answered(cseq=1, quietly=False):
    """200 and its ACK."""
    kept = remember("theirs", "To") + remember("target", "Contact", "sip:[^&gt;]*")
    return ((provisional() if not quietly else "") + f'  <recv response="200"><action>{kept}</action></recv>\n'
            + requests("ACK", cseq))


def requests(method, cseq, headers="", body="", type="application/sdp"):
    """A request of the calling side inside the dialog."""
    return send(f"{method} [$target] SIP/2.0\n{VIA}{CALLER}To:[$theirs]\nCall-ID: [call_id]\nCSeq: {cseq} {method}\n"
                f"{CONTACT}Max-Forwards: 70\n{headers}", body, type, retrans=method != "ACK")


def hangs_up(cseq):
    return requests("BYE", cseq) + hears("200")
