#include "CAVCodec.h"
#include "Library.h"

#include <stdlib.h>
#include <string.h>

enum { RATE = 8000 };

struct vestibule_aac {
  AVCodecContext *context;
  AVPacket *packet;
  AVFrame *frame;
  struct SwrContext *resampler;
  // What the resampler was made for.
  int rate, channels, format;
};

void vestibule_aac_free(vestibule_aac *decoder) {
  if (decoder->resampler) swr.free(&decoder->resampler);
  if (decoder->context) av.free_context(&decoder->context);
  if (decoder->packet) av.packet_free(&decoder->packet);
  if (decoder->frame) av.frame_free(&decoder->frame);
  free(decoder);
}

vestibule_aac *vestibule_aac_make(const uint8_t *config, int length) {
  if (length <= 0 || length > 1024 || !vestibule_swr_prepare()) return NULL;
  const AVCodec *codec = av.find_decoder(AV_CODEC_ID_AAC);
  if (!codec) return NULL;
  vestibule_aac *decoder = calloc(1, sizeof *decoder);
  if (!decoder) return NULL;
  decoder->context = av.alloc_context3(codec);
  decoder->packet = av.packet_alloc();
  decoder->frame = av.frame_alloc();
  if (!decoder->context || !decoder->packet || !decoder->frame) goto failed;
  decoder->context->extradata = av.mallocz((size_t)length + AV_INPUT_BUFFER_PADDING_SIZE);
  if (!decoder->context->extradata) goto failed;
  memcpy(decoder->context->extradata, config, (size_t)length);
  decoder->context->extradata_size = length;
  decoder->context->thread_count = 1;
  if (av.open2(decoder->context, codec, NULL) < 0) goto failed;
  return decoder;
failed:
  vestibule_aac_free(decoder);
  return NULL;
}

// The stream may change its mind about rate and channels; the resampler follows.
static int fit(vestibule_aac *decoder) {
  AVFrame *frame = decoder->frame;
  if (decoder->resampler && decoder->rate == frame->sample_rate
      && decoder->channels == frame->ch_layout.nb_channels && decoder->format == frame->format)
    return 1;
  if (decoder->resampler) swr.free(&decoder->resampler);
  decoder->resampler = NULL;
  if (frame->sample_rate < 7350 || frame->sample_rate > 96000) return 0;
  if (frame->ch_layout.nb_channels < 1 || frame->ch_layout.nb_channels > 8) return 0;
  AVChannelLayout mono = {0};
  av.layout_default(&mono, 1);
  if (swr.alloc_set_opts2(
          &decoder->resampler, &mono, AV_SAMPLE_FMT_S16, RATE, &frame->ch_layout,
          (enum AVSampleFormat)frame->format, frame->sample_rate, 0, NULL) < 0)
    return 0;
  if (swr.init(decoder->resampler) < 0) {
    swr.free(&decoder->resampler);
    return 0;
  }
  decoder->rate = frame->sample_rate;
  decoder->channels = frame->ch_layout.nb_channels;
  decoder->format = frame->format;
  return 1;
}

int vestibule_aac_decode(
    vestibule_aac *decoder, const uint8_t *bytes, int length, int16_t *out, int capacity) {
  if (length <= 0 || av.new_packet(decoder->packet, length) < 0) return -1;
  memcpy(decoder->packet->data, bytes, (size_t)length);
  int sent = av.send_packet(decoder->context, decoder->packet);
  av.packet_unref(decoder->packet);
  if (sent < 0 || av.receive_frame(decoder->context, decoder->frame) < 0) return -1;
  int count = -1;
  if (fit(decoder)) {
    uint8_t *to = (uint8_t *)out;
    count = swr.convert(
        decoder->resampler, &to, capacity, (const uint8_t **)decoder->frame->extended_data,
        decoder->frame->nb_samples);
  }
  av.frame_unref(decoder->frame);
  return count;
}
