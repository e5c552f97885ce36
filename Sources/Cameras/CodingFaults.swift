package import RTP

extension SourceFault {
  /// What a camera sends is nothing that a browser shows, in words that help whoever has to set it right.
  package init(_ verdict: CodingWatch.Verdict) {
    let text =
      switch verdict {
      case .h265: "the camera announces H.264 and sends H.265: set it to H.264"
      case .bidirectional:
        "the camera sends B-frames, which browsers show in the wrong order: turn them off"
      case .noParameters:
        "the camera sends no parameter sets (SPS, PPS), without which nothing can be decoded"
      case .unreadable: "what the camera sends is no H.264"
      }
    self.init(.coding, text)
  }
}
