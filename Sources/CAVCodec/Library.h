// The functions of FFmpeg's libraries, as far as they were opened. Only the files of this folder see this.
#pragma once
#include <libavcodec/avcodec.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>

struct vestibule_av_functions {
  const AVCodec *(*find_encoder)(enum AVCodecID);
  const AVCodec *(*find_encoder_by_name)(const char *);
  const AVCodec *(*find_decoder)(enum AVCodecID);
  AVCodecContext *(*alloc_context3)(const AVCodec *);
  void (*free_context)(AVCodecContext **);
  int (*open2)(AVCodecContext *, const AVCodec *, AVDictionary **);
  void (*flush_buffers)(AVCodecContext *);
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
  void (*frame_unref)(AVFrame *);
  int (*frame_get_buffer)(AVFrame *, int);
  int (*frame_make_writable)(AVFrame *);
  void (*layout_default)(AVChannelLayout *, int);
  int (*layout_copy)(AVChannelLayout *, const AVChannelLayout *);
  int (*opt_set)(void *, const char *, const char *, int);
  void *(*mallocz)(size_t);
  void (*log_set_level)(int);
};

extern struct vestibule_av_functions av;

struct vestibule_swr_functions {
  int (*alloc_set_opts2)(
      struct SwrContext **, const AVChannelLayout *, enum AVSampleFormat, int, const AVChannelLayout *,
      enum AVSampleFormat, int, int, void *);
  int (*init)(struct SwrContext *);
  int (*convert)(struct SwrContext *, uint8_t **, int, const uint8_t **, int);
  void (*free)(struct SwrContext **);
};

extern struct vestibule_swr_functions swr;
