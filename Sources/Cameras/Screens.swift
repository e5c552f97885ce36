package import Directory
package import RTP
package import Wire

/// Where the pictures of cameras are shown: one feed a camera, with as many viewers as come.
package protocol Screens: AnyObject {
  /// The camera's pictures are of this form from now on. Those who look already go on looking.
  func begin(_ camera: CameraID, _ format: SourceFormat)
  func push(_ picture: AccessUnit, of camera: CameraID)
  /// Sound as it goes into RTP, `samples` long on the clock of the format's codec.
  func push(sound: [UInt8], samples: Int, captured: Instant, of camera: CameraID)
  /// No more pictures for now. What was kept of them for those who come is not to be shown any more.
  func end(_ camera: CameraID)
}

/// Opens cameras: those of the network, those of this machine.
package protocol CameraOpener: AnyObject {
  /// `hear` is called later, never before this returns, and no more after `stop` or `ended`.
  func open(_ camera: Camera, hear: @escaping (SourceNews) -> Void) -> any CameraSource
}
