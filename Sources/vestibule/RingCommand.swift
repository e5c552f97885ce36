import API

/// `vestibule ring`: a real call over SIP from this process.
struct RingCommand {
  let client: ControlClient
  let invocation: Invocation

  func run() throws(CommandFailure) {
    throw .failed(["this build places no calls"])
  }
}
