import SIP
import Wire

/// What reading one message costs, on this thread.
struct Parsing {
  static let invite = Array(
    """
    INVITE sip:401@192.0.2.1 SIP/2.0\r
    Via: SIP/2.0/UDP 192.0.2.50:5060;rport;branch=z9hG4bK1769845201\r
    Record-Route: <sip:192.0.2.9;lr;r2=on;ftag=1290745>\r
    Record-Route: <sip:192.0.2.8;transport=tcp;lr;r2=on;ftag=1290745>\r
    From: "Gate" <sip:100@192.0.2.50:5060>;tag=1290745\r
    To: <sip:401@192.0.2.1>\r
    Call-ID: 618922871@192.0.2.50\r
    CSeq: 20 INVITE\r
    Contact: <sip:100@192.0.2.50:5060>\r
    Max-Forwards: 70\r
    User-Agent: Akuvox R20B 220.30.2.28\r
    Allow: INVITE, INFO, PRACK, ACK, BYE, CANCEL, OPTIONS, NOTIFY, REGISTER, SUBSCRIBE, REFER, PUBLISH, UPDATE, MESSAGE\r
    Supported: replaces, timer\r
    Session-Expires: 1800;refresher=uac\r
    Subject: Phone call\r
    Content-Type: application/sdp\r
    Content-Length: 284\r
    \r
    v=0\r
    o=100 2890844526 2890844526 IN IP4 192.0.2.50\r
    s=Talk\r
    c=IN IP4 192.0.2.50\r
    t=0 0\r
    m=audio 11800 RTP/AVP 8 0 101\r
    a=rtpmap:8 PCMA/8000\r
    a=rtpmap:0 PCMU/8000\r
    a=rtpmap:101 telephone-event/8000\r
    a=fmtp:101 0-15\r
    a=ptime:20\r
    a=sendrecv\r
    m=video 11802 RTP/AVP 99\r
    a=rtpmap:99 H264/90000\r

    """.utf8)

  static func measure() {
    let rounds = 300_000
    var index = HeadIndex()
    var sum = 0
    var best = Double.infinity
    for _ in 0..<5 {
      let began = monotonicSeconds()
      for _ in 0..<rounds {
        if (try? index.index(invite.span, limits: .datagram)) == true { sum &+= index.fields.count }
      }
      best = min(best, (monotonicSeconds() - began) / Double(rounds) * 1e9)
    }
    report("INVITE, head indexed", best, unit: "ns", aim: "-")
    best = .infinity
    for _ in 0..<5 {
      let began = monotonicSeconds()
      for _ in 0..<rounds {
        if let message = try? Message(parsing: invite.span, framing: .datagram) {
          sum &+= Int(message.cseq.number)
        }
      }
      best = min(best, (monotonicSeconds() - began) / Double(rounds) * 1e9)
    }
    report("INVITE, read into an owned message with its typed fields checked", best, unit: "ns", aim: "< 300")
    precondition(sum > 0, "nothing was read")
  }
}
