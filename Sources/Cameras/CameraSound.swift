package import Codecs
internal import RTSP

extension AACDecoder: SoundDecoder {}

extension RTSPCameras {
  /// Turns AAC of cameras into PCMA from now on, where this machine can. The library is opened at the first such camera.
  package func decodeAAC() { soundDecoder = { AACDecoder(config: $0.configuration) } }
}
