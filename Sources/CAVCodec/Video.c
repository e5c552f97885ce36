#include "CAVCodec.h"
#include "Library.h"
#include "Pixels.h"

#include <stdlib.h>
#include <string.h>

enum { CLOCK = 90000 };

// MARK: Encoding

struct vestibule_encoder {
  AVCodecContext *context;
  AVPacket *packet;
  AVFrame *frame;
  int coding;
};

void vestibule_encoder_free(vestibule_encoder *encoder) {
  if (encoder->context) av.free_context(&encoder->context);
  if (encoder->packet) av.packet_free(&encoder->packet);
  if (encoder->frame) av.frame_free(&encoder->frame);
  free(encoder);
}

static const AVCodec *find(int coding) {
  switch (coding) {
  case VESTIBULE_H264: return av.find_encoder_by_name("libx264");
  case VESTIBULE_H264_BOARD: return av.find_encoder_by_name("h264_v4l2m2m");
  case VESTIBULE_VP8: return av.find_encoder_by_name("libvpx");
  case VESTIBULE_JPEG: return av.find_encoder(AV_CODEC_ID_MJPEG);
  default: return NULL;
  }
}

// Bursts of at most half a second: a key picture may be larger than its share, but not hold up what follows.
static void set_rate(AVCodecContext *context, int64_t bits_per_second) {
  context->bit_rate = bits_per_second;
  context->rc_max_rate = bits_per_second;
  context->rc_buffer_size = (int)(bits_per_second / 2);
}

static int set(AVCodecContext *context, const char *name, const char *value) {
  return av.opt_set(context->priv_data, name, value, 0) >= 0;
}

static int configure(vestibule_encoder *encoder, const vestibule_encoder_setting *setting) {
  AVCodecContext *context = encoder->context;
  context->width = setting->width;
  context->height = setting->height;
  context->time_base = (AVRational){1, CLOCK};
  context->framerate = (AVRational){setting->pictures_per_second, 1};
  context->pix_fmt = AV_PIX_FMT_YUV420P;
  context->thread_count = setting->threads;
  context->max_b_frames = 0;
  context->gop_size = setting->key_interval;
  switch (setting->coding) {
  case VESTIBULE_H264:
    set_rate(context, setting->bits_per_second);
    context->refs = 1;
    // A picture that changes whole is no reason for a key picture: only time and wishes are.
    return set(context, "preset", "superfast") && set(context, "tune", "zerolatency")
        && set(context, "profile", "baseline") && set(context, "forced-idr", "1")
        && set(context, "x264-params", "scenecut=0:repeat-headers=1:annexb=1");
  case VESTIBULE_H264_BOARD:
    context->bit_rate = setting->bits_per_second;
    context->profile = FF_PROFILE_H264_CONSTRAINED_BASELINE;
    return 1;
  case VESTIBULE_VP8:
    set_rate(context, setting->bits_per_second);
    context->rc_min_rate = setting->bits_per_second;
    context->qmin = 4;
    context->qmax = 63;
    return set(context, "deadline", "realtime") && set(context, "cpu-used", "8")
        && set(context, "lag-in-frames", "0") && set(context, "auto-alt-ref", "0")
        && set(context, "error-resilient", "default");
  default:
    context->pix_fmt = AV_PIX_FMT_YUVJ420P;
    context->color_range = AVCOL_RANGE_JPEG;
    context->flags |= AV_CODEC_FLAG_QSCALE;
    context->global_quality = setting->coarseness * FF_QP2LAMBDA;
    return 1;
  }
}

vestibule_encoder *vestibule_encoder_make(vestibule_encoder_setting setting) {
  if (!vestibule_av_prepare()) return NULL;
  const AVCodec *codec = find(setting.coding);
  if (!codec) return NULL;
  vestibule_encoder *encoder = calloc(1, sizeof *encoder);
  if (!encoder) return NULL;
  encoder->coding = setting.coding;
  encoder->context = av.alloc_context3(codec);
  encoder->packet = av.packet_alloc();
  encoder->frame = av.frame_alloc();
  if (!encoder->context || !encoder->packet || !encoder->frame) goto failed;
  if (!configure(encoder, &setting)) goto failed;
  if (av.open2(encoder->context, codec, NULL) < 0) goto failed;
  encoder->frame->format = encoder->context->pix_fmt;
  encoder->frame->color_range = encoder->context->color_range;
  encoder->frame->width = setting.width;
  encoder->frame->height = setting.height;
  if (av.frame_get_buffer(encoder->frame, 0) < 0) goto failed;
  return encoder;
failed:
  vestibule_encoder_free(encoder);
  return NULL;
}

int vestibule_encoder_send(vestibule_encoder *encoder, const uint8_t *picture, int64_t time, int as_key) {
  AVFrame *frame = encoder->frame;
  // The encoder may hold on to the one before.
  if (av.frame_make_writable(frame) < 0) return -1;
  const uint8_t *from = picture;
  for (int plane = 0; plane < 3; plane++) {
    int width = plane ? frame->width / 2 : frame->width, height = plane ? frame->height / 2 : frame->height;
    uint8_t *to = frame->data[plane];
    for (int line = 0; line < height; line++, from += width, to += frame->linesize[plane])
      memcpy(to, from, (size_t)width);
  }
  frame->pts = time;
  frame->pict_type = as_key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
  frame->quality = encoder->context->global_quality;
  return av.send_frame(encoder->context, frame) < 0 ? -1 : 0;
}

const uint8_t *vestibule_encoder_next(vestibule_encoder *encoder, int *length, int64_t *time, int *is_key) {
  av.packet_unref(encoder->packet);
  if (av.receive_packet(encoder->context, encoder->packet) < 0) return NULL;
  *length = encoder->packet->size;
  *time = encoder->packet->pts;
  *is_key = (encoder->packet->flags & AV_PKT_FLAG_KEY) != 0;
  return encoder->packet->data;
}

int vestibule_encoder_aim(vestibule_encoder *encoder, int64_t bits_per_second) {
  // Only the wrapper of x264 looks at its rate again.
  if (encoder->coding != VESTIBULE_H264) return 0;
  set_rate(encoder->context, bits_per_second);
  return 1;
}

// MARK: Decoding

struct vestibule_decoder {
  AVCodecContext *context;
  AVPacket *packet;
  AVFrame *frame;
  int64_t limit;
};

void vestibule_decoder_free(vestibule_decoder *decoder) {
  if (decoder->context) av.free_context(&decoder->context);
  if (decoder->packet) av.packet_free(&decoder->packet);
  if (decoder->frame) av.frame_free(&decoder->frame);
  free(decoder);
}

vestibule_decoder *vestibule_decoder_make(int coding, int64_t limit) {
  if (!vestibule_av_prepare()) return NULL;
  enum AVCodecID id = coding == VESTIBULE_JPEG  ? AV_CODEC_ID_MJPEG
                      : coding == VESTIBULE_VP8 ? AV_CODEC_ID_VP8
                                                : AV_CODEC_ID_H264;
  const AVCodec *codec = av.find_decoder(id);
  if (!codec) return NULL;
  vestibule_decoder *decoder = calloc(1, sizeof *decoder);
  if (!decoder) return NULL;
  decoder->limit = limit;
  decoder->context = av.alloc_context3(codec);
  decoder->packet = av.packet_alloc();
  decoder->frame = av.frame_alloc();
  if (!decoder->context || !decoder->packet || !decoder->frame) goto failed;
  decoder->context->thread_count = 1;
  decoder->context->max_pixels = limit;
  decoder->context->flags |= AV_CODEC_FLAG_LOW_DELAY;
  decoder->context->err_recognition = AV_EF_CAREFUL;
  if (av.open2(decoder->context, codec, NULL) < 0) goto failed;
  return decoder;
failed:
  vestibule_decoder_free(decoder);
  return NULL;
}

int vestibule_decoder_send(vestibule_decoder *decoder, const uint8_t *bytes, int length, int64_t time) {
  // A packet of the library's own memory: it reads a little past the end.
  if (length <= 0 || av.new_packet(decoder->packet, length) < 0) return -1;
  memcpy(decoder->packet->data, bytes, (size_t)length);
  decoder->packet->pts = time;
  int sent = av.send_packet(decoder->context, decoder->packet);
  av.packet_unref(decoder->packet);
  return sent < 0 ? -1 : 0;
}

void vestibule_decoder_finish(vestibule_decoder *decoder) { av.send_packet(decoder->context, NULL); }

int vestibule_decoder_next(vestibule_decoder *decoder, int *width, int *height, int64_t *time) {
  AVFrame *frame = decoder->frame;
  if (av.receive_frame(decoder->context, frame) < 0) return 0;
  *width = frame->width & ~1;
  *height = frame->height & ~1;
  *time = frame->pts;
  int is_whole = frame->decode_error_flags == 0 && (frame->flags & AV_FRAME_FLAG_CORRUPT) == 0;
  int fits = *width >= 16 && *height >= 16 && (int64_t)*width * *height <= decoder->limit;
  int is_known = 0;
  switch (frame->format) {
  case AV_PIX_FMT_YUV420P: case AV_PIX_FMT_YUVJ420P: case AV_PIX_FMT_YUV422P: case AV_PIX_FMT_YUVJ422P:
  case AV_PIX_FMT_YUV444P: case AV_PIX_FMT_YUVJ444P: case AV_PIX_FMT_GRAY8: is_known = 1; break;
  default: break;
  }
  if (is_whole && fits && is_known) return 1;
  av.frame_unref(frame);
  return -1;
}

void vestibule_decoder_write(vestibule_decoder *decoder, uint8_t *out) {
  AVFrame *frame = decoder->frame;
  if (!frame->data[0]) return;
  int width = frame->width & ~1, height = frame->height & ~1;
  int is_full = frame->color_range == AVCOL_RANGE_JPEG;
  int step = 1, halves = 0, gray = 0;
  switch (frame->format) {
  case AV_PIX_FMT_YUVJ420P: is_full = 1; break;
  case AV_PIX_FMT_YUVJ422P: is_full = 1; halves = 1; break;
  case AV_PIX_FMT_YUV422P: halves = 1; break;
  case AV_PIX_FMT_YUVJ444P: is_full = 1; step = 2; halves = 1; break;
  case AV_PIX_FMT_YUV444P: step = 2; halves = 1; break;
  case AV_PIX_FMT_GRAY8: gray = 1; break;
  default: break;
  }
  uint8_t *to = out;
  const uint8_t *table = is_full ? vestibule_narrow_luma() : NULL;
  vestibule_plane_copy(frame->data[0], frame->linesize[0], 1, to, width, height, table);
  to += (size_t)width * (size_t)height;
  size_t quarter = (size_t)(width / 2) * (size_t)(height / 2);
  if (gray) {
    memset(to, 128, 2 * quarter);
  } else {
    table = is_full ? vestibule_narrow_chroma() : NULL;
    for (int plane = 1; plane < 3; plane++, to += quarter) {
      if (halves)
        vestibule_plane_halve(
            frame->data[plane], frame->linesize[plane], step, to, width / 2, height / 2, table);
      else
        vestibule_plane_copy(
            frame->data[plane], frame->linesize[plane], 1, to, width / 2, height / 2, table);
    }
  }
  av.frame_unref(frame);
}
