package import Codecs
internal import RTSP

extension AACDecoder: SoundDecoder {}

extension RTSPCameras {
  /// Turns AAC of cameras into PCMA from now on, where this machine can. The libraries are opened at the first such camera,
  /// by a worker: the disk may be slow.
  package func decodeAAC() {
    loadSound = { AACDecoder.prepare() }
    soundDecoder = { AACDecoder(config: $0.configuration) }
  }
}
