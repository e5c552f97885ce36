#include "CAVCodec.h"
#include "Library.h"

#include <stdlib.h>
#include <string.h>

enum { FRAME = 160 };

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
