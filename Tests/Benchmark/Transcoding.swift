import Codecs
import Glibc
import RTP
import Wire

/// Seconds of speech that a second of a core turns from Opus into PCMA and back, beside a plain C loop over libavcodec
/// and libswresample, compiled on the spot: the same packets, the same bit rate, the same effort.
struct Transcoding {
  /// A minute as a browser sends it: 48 kHz, 32 kbit/s, 20 ms, with copies for lost packets. The peer makes it.
  static let packets = 3000

  static func measure(turns: Int) {
    let folder = temporaryFolder()
    write(peerProgram, to: folder + "/peer.c")
    let complaint = run(
      "cc -O2 -o \(folder)/peer \(folder)/peer.c -lavcodec -lswresample -lavutil -lm 2>&1")
    guard complaint.isEmpty else { fail("the peer does not compile: \(complaint)") }
    func peer(_ step: String) -> Double {
      let said = run("\(folder)/peer \(step) \(folder)/speech.opus \(packets)")
      guard let rate = Double(said.prefix { $0 != "\n" }) else { fail("the peer said \(said)") }
      return rate
    }
    _ = peer("make")
    let speech = payloads(folder + "/speech.opus")
    guard speech.count == packets, VoiceLibrary.opus.prepare() else { fail("no speech") }
    measureSetUp()
    var ours: [Double] = []
    var theirs: [Double] = []
    for _ in 0..<turns {
      ours.append(fromOpus(speech))
      theirs.append(peer("decode"))
    }
    report("Opus to PCMA, seconds a CPU second", ours: ours, theirs: theirs, peer: "libavcodec", aim: 0.9)
    var waited: [Double] = []
    for _ in 0..<turns { waited.append(throughBuffer(speech)) }
    report("  the same through the jitter buffer", ours: waited, theirs: theirs, peer: "libavcodec", aim: 0.9)
    ours.removeAll()
    theirs.removeAll()
    for _ in 0..<turns {
      ours.append(toOpus())
      theirs.append(peer("encode"))
    }
    report("PCMA to Opus, seconds a CPU second", ours: ours, theirs: theirs, peer: "libavcodec", aim: 0.9)
  }

  /// What a thread pays when a call needs coders.
  private static func measureSetUp() {
    var made: [Double] = []
    for _ in 0..<51 {
      let began = processorSeconds()
      guard let decoder = VoiceDecoder(.opus), let encoder = VoiceEncoder(.opus) else { fail("no Opus") }
      made.append((processorSeconds() - began) * 1e6)
      _ = (decoder.codec, encoder.codec)
    }
    report("setting up an Opus decoder and encoder", median(made), unit: "us", aim: "-")
  }

  private static func payloads(_ path: String) -> [[UInt8]] {
    guard let file = unsafe fopen(path, "r") else { return [] }
    defer { unsafe fclose(file) }
    var result: [[UInt8]] = []
    var head = [UInt8](repeating: 0, count: 2)
    while unsafe fread(&head, 1, 2, file) == 2 {
      var payload = [UInt8](repeating: 0, count: Int(head[0]) << 8 | Int(head[1]))
      guard unsafe fread(&payload, 1, payload.count, file) == payload.count else { break }
      result.append(payload)
    }
    return result
  }

  private static func fromOpus(_ speech: [[UInt8]]) -> Double {
    guard var decoder = VoiceDecoder(.opus), var encoder = VoiceEncoder(.pcma) else { fail("no Opus") }
    let began = processorSeconds()
    var bytes = 0
    for payload in speech {
      let count = decoder.decode(payload.span, 0..<payload.count)
      let samples = decoder.samples
      bytes += encoder.encode(samples.span, count: count)
    }
    guard bytes == speech.count * 160 else { fail("\(bytes) bytes came out") }
    return Double(speech.count) / 50 / (processorSeconds() - began)
  }

  private static func throughBuffer(_ speech: [[UInt8]]) -> Double {
    guard var decoder = VoiceDecoder(.opus), var encoder = VoiceEncoder(.pcma) else { fail("no Opus") }
    var buffer = JitterBuffer(clockRate: 48_000, recovers: true)
    let began = processorSeconds()
    var played = 0
    var now = Instant(nanoseconds: 1_000_000_000)
    for (index, payload) in speech.enumerated() {
      buffer.receive(
        payload.span, sequence: UInt16(truncatingIfNeeded: index), timestamp: UInt32(index) * 960, source: 1,
        ticks: 960, at: now)
      now = now + .milliseconds(20)
      guard case .packet = buffer.next(at: now) else { continue }
      let count = buffer.lend { decoder.decode($0, 0..<$0.count) }
      _ = buffer.correction(ahead: 0, frame: 960)
      let samples = decoder.samples
      if encoder.encode(samples.span, count: count) == 160 { played += 1 }
    }
    guard played > speech.count - 10 else { fail("\(played) packets were played") }
    return Double(played) / 50 / (processorSeconds() - began)
  }

  private static func toOpus() -> Double {
    guard var decoder = VoiceDecoder(.pcma), var encoder = VoiceEncoder(.opus) else { fail("no Opus") }
    // As the peer is told: the same copies are made.
    encoder.expectLoss(percent: 5)
    // The peer's sound: a chord that wanders.
    var payloads: [[UInt8]] = []
    for packet in 0..<packets {
      payloads.append(
        (0..<160).map { index in
          let time = Double(packet * 160 + index) / 8000
          let pitch = 120 + 40 * sin(time * 3)
          let value = sin(6.2831853 * pitch * time) + 0.5 * sin(6.2831853 * 3 * pitch * time)
          return G711.a(from: Int16(6000 * value))
        })
    }
    let began = processorSeconds()
    var whole = 0
    for payload in payloads {
      let count = decoder.decode(payload.span, 0..<160)
      let samples = decoder.samples
      if encoder.encode(samples.span, count: count) > 0 { whole += 1 }
    }
    guard whole == packets else { fail("\(whole) packets came out") }
    return Double(packets) / 50 / (processorSeconds() - began)
  }

  private static func processorSeconds() -> Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// The peer: `make`, `decode` or `encode`, a file of packets with lengths before them, and how many. It prints seconds
/// of sound for each second of its processor.
private let peerProgram = #"""
  #include <libavcodec/avcodec.h>
  #include <libavutil/opt.h>
  #include <libswresample/swresample.h>
  #include <math.h>
  #include <stdio.h>
  #include <stdlib.h>
  #include <string.h>
  #include <time.h>

  static double cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
  }
  static void must(int good, const char *what) {
    if (!good) { printf("failed: %s\n", what); exit(1); }
  }
  static AVCodecContext *coder(const AVCodec *codec, int rate, int encodes, int bitrate, const char *effort) {
    must(codec != NULL, "no codec");
    AVCodecContext *c = avcodec_alloc_context3(codec);
    c->sample_rate = rate;
    c->sample_fmt = AV_SAMPLE_FMT_S16;
    c->thread_count = 1;
    av_channel_layout_default(&c->ch_layout, 1);
    AVDictionary *options = NULL;
    if (bitrate) {
      c->bit_rate = bitrate;
      av_dict_set(&options, "application", "voip", 0);
      av_dict_set(&options, "frame_duration", "20", 0);
      av_dict_set(&options, "compression_level", effort, 0);
      av_dict_set(&options, "fec", "1", 0);
      av_dict_set(&options, "packet_loss", "5", 0);
    }
    c->request_sample_fmt = AV_SAMPLE_FMT_S16;
    must(avcodec_open2(c, codec, &options) >= 0, "open");
    (void)encodes;
    return c;
  }
  static AVFrame *frame(int samples, int rate) {
    AVFrame *f = av_frame_alloc();
    f->nb_samples = samples;
    f->format = AV_SAMPLE_FMT_S16;
    f->sample_rate = rate;
    av_channel_layout_default(&f->ch_layout, 1);
    must(av_frame_get_buffer(f, 0) >= 0, "frame");
    return f;
  }
  static double sound(double t) {
    double pitch = 120 + 40 * sin(t * 3);
    return sin(6.2831853 * pitch * t) + 0.5 * sin(6.2831853 * 3 * pitch * t);
  }

  int main(int argc, char **argv) {
    must(argc == 4, "arguments");
    int count = atoi(argv[3]);
    AVPacket *packet = av_packet_alloc();
    if (!strcmp(argv[1], "make")) {
      AVCodecContext *c = coder(avcodec_find_encoder_by_name("libopus"), 48000, 1, 32000, "10");
      AVFrame *f = frame(960, 48000);
      FILE *out = fopen(argv[2], "w");
      int made = 0;
      for (int i = 0; made < count; i++) {
        must(av_frame_make_writable(f) >= 0, "writable");
        for (int k = 0; k < 960; k++) {
          double t = (i * 960 + k) / 48000.0, noise = (rand() % 2000 - 1000) / 1000.0;
          ((int16_t *)f->data[0])[k] = 6000 * sound(t) * (fmod(t, 0.7) < 0.5) + 600 * noise * (fmod(t, 0.3) < 0.1);
        }
        must(avcodec_send_frame(c, f) >= 0, "send");
        while (made < count && avcodec_receive_packet(c, packet) >= 0) {
          fputc(packet->size >> 8, out);
          fputc(packet->size & 255, out);
          fwrite(packet->data, 1, packet->size, out);
          av_packet_unref(packet);
          made++;
        }
      }
      fclose(out);
      printf("1\n");
      return 0;
    }
    if (!strcmp(argv[1], "decode")) {
      FILE *in = fopen(argv[2], "r");
      AVPacket **packets = calloc(count, sizeof *packets);
      for (int i = 0; i < count; i++) {
        int high = fgetc(in), length = high << 8 | fgetc(in);
        packets[i] = av_packet_alloc();
        must(av_new_packet(packets[i], length) >= 0, "packet");
        must((int)fread(packets[i]->data, 1, length, in) == length, "read");
      }
      AVCodecContext *d = coder(avcodec_find_decoder_by_name("libopus"), 48000, 0, 0, NULL);
      AVCodecContext *e = coder(avcodec_find_encoder(AV_CODEC_ID_PCM_ALAW), 8000, 1, 0, NULL);
      AVFrame *f = av_frame_alloc(), *g = frame(160, 8000);
      SwrContext *swr = NULL;
      AVChannelLayout mono;
      av_channel_layout_default(&mono, 1);
      long bytes = 0;
      double began = cpu();
      for (int i = 0; i < count; i++) {
        must(avcodec_send_packet(d, packets[i]) >= 0, "decode");
        while (avcodec_receive_frame(d, f) >= 0) {
          if (!swr) {
            must(swr_alloc_set_opts2(&swr, &mono, AV_SAMPLE_FMT_S16, 8000, &f->ch_layout, f->format, 48000, 0, NULL) >= 0, "swr");
            must(swr_init(swr) >= 0, "swr");
          }
          must(av_frame_make_writable(g) >= 0, "writable");
          int made = swr_convert(swr, g->data, 160, (const uint8_t **)f->data, f->nb_samples);
          must(made >= 0, "resample");
          if (!made) continue;
          g->nb_samples = made;
          must(avcodec_send_frame(e, g) >= 0, "encode");
          while (avcodec_receive_packet(e, packet) >= 0) { bytes += packet->size; av_packet_unref(packet); }
          g->nb_samples = 160;
        }
      }
      double took = cpu() - began;
      must(bytes > count * 155L, "too little came out");
      printf("%f\n", count / 50.0 / took);
      return 0;
    }
    AVCodecContext *d = coder(avcodec_find_decoder(AV_CODEC_ID_PCM_ALAW), 8000, 0, 0, NULL);
    AVCodecContext *a = coder(avcodec_find_encoder(AV_CODEC_ID_PCM_ALAW), 8000, 1, 0, NULL);
    AVCodecContext *e = coder(avcodec_find_encoder_by_name("libopus"), 8000, 1, 24000, "5");
    AVFrame *g = frame(160, 8000), *f = av_frame_alloc();
    AVPacket **packets = calloc(count, sizeof *packets);
    for (int i = 0; i < count; i++) {
      must(av_frame_make_writable(g) >= 0, "writable");
      for (int k = 0; k < 160; k++) ((int16_t *)g->data[0])[k] = 6000 * sound((i * 160 + k) / 8000.0);
      must(avcodec_send_frame(a, g) >= 0, "law");
      packets[i] = av_packet_alloc();
      must(avcodec_receive_packet(a, packets[i]) >= 0, "law");
    }
    long made = 0;
    double began = cpu();
    for (int i = 0; i < count; i++) {
      must(avcodec_send_packet(d, packets[i]) >= 0, "decode");
      while (avcodec_receive_frame(d, f) >= 0) {
        must(avcodec_send_frame(e, f) >= 0, "encode");
        while (avcodec_receive_packet(e, packet) >= 0) { made++; av_packet_unref(packet); }
      }
    }
    double took = cpu() - began;
    must(made > count - 5, "too little came out");
    printf("%f\n", count / 50.0 / took);
    return 0;
  }

  """#
