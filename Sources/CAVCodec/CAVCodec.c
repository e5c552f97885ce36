#include "CAVCodec.h"

#include <dlfcn.h>
#include <libavcodec/avcodec.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

enum { FRAME = 160 };

static struct {
  const AVCodec *(*find_encoder)(enum AVCodecID);
  const AVCodec *(*find_decoder)(enum AVCodecID);
  AVCodecContext *(*alloc_context3)(const AVCodec *);
  void (*free_context)(AVCodecContext **);
  int (*open2)(AVCodecContext *, const AVCodec *, AVDictionary **);
  int (*send_frame)(AVCodecContext *, const AVFrame *);
  int (*receive_packet)(AVCodecContext *, AVPacket *);
  int (*send_packet)(AVCodecContext *, const AVPacket *);
  int (*receive_frame)(AVCodecContext *, AVFrame *);
  AVPacket *(*packet_alloc)(void);
  int (*new_packet)(AVPacket *, int);
  void (*packet_unref)(AVPacket *);
  void (*packet_free)(AVPacket **);
  AVFrame *(*frame_alloc)(void);
  void (*frame_free)(AVFrame **);
  int (*frame_get_buffer)(AVFrame *, int);
  int (*frame_make_writable)(AVFrame *);
  void (*layout_default)(AVChannelLayout *, int);
  int (*layout_copy)(AVChannelLayout *, const AVChannelLayout *);
} av;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ready;  // Written once, under `once`.

static int take(void *library, const char *name, void *place) {
  void *symbol = dlsym(library, name);
  memcpy(place, &symbol, sizeof symbol);
  return symbol != NULL;
}

static void load(void) {
  void *codec = dlopen("libavcodec.so." TEXT(LIBAVCODEC_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
  void *util = dlopen("libavutil.so." TEXT(LIBAVUTIL_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
  if (!codec || !util) return;
  int good = take(codec, "avcodec_find_encoder", &av.find_encoder)
      && take(codec, "avcodec_find_decoder", &av.find_decoder)
      && take(codec, "avcodec_alloc_context3", &av.alloc_context3)
      && take(codec, "avcodec_free_context", &av.free_context)
      && take(codec, "avcodec_open2", &av.open2)
      && take(codec, "avcodec_send_frame", &av.send_frame)
      && take(codec, "avcodec_receive_packet", &av.receive_packet)
      && take(codec, "avcodec_send_packet", &av.send_packet)
      && take(codec, "avcodec_receive_frame", &av.receive_frame)
      && take(codec, "av_packet_alloc", &av.packet_alloc)
      && take(codec, "av_new_packet", &av.new_packet)
      && take(codec, "av_packet_unref", &av.packet_unref)
      && take(codec, "av_packet_free", &av.packet_free)
      && take(util, "av_frame_alloc", &av.frame_alloc)
      && take(util, "av_frame_free", &av.frame_free)
      && take(util, "av_frame_get_buffer", &av.frame_get_buffer)
      && take(util, "av_frame_make_writable", &av.frame_make_writable)
      && take(util, "av_channel_layout_default", &av.layout_default)
      && take(util, "av_channel_layout_copy", &av.layout_copy);
  ready = good;
}

int vestibule_av_prepare(void) {
  pthread_once(&once, load);
  return ready;
}

struct vestibule_g722 {
  AVCodecContext *context;
  AVPacket *packet;
  AVFrame *frame;
};

void vestibule_g722_free(vestibule_g722 *coder) {
  if (coder->context) av.free_context(&coder->context);
  if (coder->packet) av.packet_free(&coder->packet);
  if (coder->frame) av.frame_free(&coder->frame);
  free(coder);
}

static vestibule_g722 *make(int encodes) {
  if (!vestibule_av_prepare()) return NULL;
  const AVCodec *codec =
      encodes ? av.find_encoder(AV_CODEC_ID_ADPCM_G722) : av.find_decoder(AV_CODEC_ID_ADPCM_G722);
  if (!codec) return NULL;
  vestibule_g722 *coder = calloc(1, sizeof *coder);
  if (!coder) return NULL;
  coder->context = av.alloc_context3(codec);
  coder->packet = av.packet_alloc();
  coder->frame = av.frame_alloc();
  if (!coder->context || !coder->packet || !coder->frame) goto failed;
  coder->context->sample_rate = 16000;
  coder->context->sample_fmt = AV_SAMPLE_FMT_S16;
  coder->context->thread_count = 1;
  coder->context->bits_per_coded_sample = 8;
  av.layout_default(&coder->context->ch_layout, 1);
  if (encodes) coder->context->frame_size = FRAME;
  if (av.open2(coder->context, codec, NULL) < 0) goto failed;
  if (encodes) {
    coder->frame->nb_samples = FRAME;
    coder->frame->format = AV_SAMPLE_FMT_S16;
    coder->frame->sample_rate = 16000;
    if (av.layout_copy(&coder->frame->ch_layout, &coder->context->ch_layout) < 0) goto failed;
    if (av.frame_get_buffer(coder->frame, 0) < 0) goto failed;
    if (coder->context->frame_size != FRAME) goto failed;
  }
  return coder;
failed:
  vestibule_g722_free(coder);
  return NULL;
}

vestibule_g722 *vestibule_g722_encoder(void) { return make(1); }
vestibule_g722 *vestibule_g722_decoder(void) { return make(0); }

int vestibule_g722_encode(vestibule_g722 *coder, const int16_t *samples, uint8_t *out) {
  if (av.frame_make_writable(coder->frame) < 0) return -1;
  memcpy(coder->frame->data[0], samples, FRAME * sizeof *samples);
  if (av.send_frame(coder->context, coder->frame) < 0) return -1;
  if (av.receive_packet(coder->context, coder->packet) < 0) return -1;
  int length = coder->packet->size;
  if (length == FRAME / 2) memcpy(out, coder->packet->data, (size_t)length);
  av.packet_unref(coder->packet);
  return length == FRAME / 2 ? length : -1;
}

int vestibule_g722_decode(
    vestibule_g722 *coder, const uint8_t *bytes, int length, int16_t *out, int capacity) {
  // A packet of the library's own memory: it reads a little past the end.
  if (length <= 0 || av.new_packet(coder->packet, length) < 0) return -1;
  memcpy(coder->packet->data, bytes, (size_t)length);
  int sent = av.send_packet(coder->context, coder->packet);
  av.packet_unref(coder->packet);
  if (sent < 0 || av.receive_frame(coder->context, coder->frame) < 0) return -1;
  int count = coder->frame->nb_samples;
  if (count > capacity || coder->frame->format != AV_SAMPLE_FMT_S16) return -1;
  memcpy(out, coder->frame->data[0], (size_t)count * sizeof *out);
  return count;
}
