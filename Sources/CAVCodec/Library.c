#include "Library.h"
#include "CAVCodec.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

struct vestibule_av_functions av;
struct vestibule_swr_functions swr;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_once_t swr_once = PTHREAD_ONCE_INIT;
static int ready, swr_ready;  // Each written once, under its `once`.

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
      && take(codec, "avcodec_find_encoder_by_name", &av.find_encoder_by_name)
      && take(codec, "avcodec_find_decoder", &av.find_decoder)
      && take(codec, "avcodec_alloc_context3", &av.alloc_context3)
      && take(codec, "avcodec_free_context", &av.free_context)
      && take(codec, "avcodec_open2", &av.open2)
      && take(codec, "avcodec_flush_buffers", &av.flush_buffers)
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
      && take(util, "av_frame_unref", &av.frame_unref)
      && take(util, "av_frame_get_buffer", &av.frame_get_buffer)
      && take(util, "av_frame_make_writable", &av.frame_make_writable)
      && take(util, "av_channel_layout_default", &av.layout_default)
      && take(util, "av_channel_layout_copy", &av.layout_copy)
      && take(util, "av_opt_set", &av.opt_set)
      && take(util, "av_mallocz", &av.mallocz)
      && take(util, "av_log_set_level", &av.log_set_level);
  // What its coders think of a stream is told by their results; nobody reads their lines.
  if (good) av.log_set_level(AV_LOG_QUIET);
  ready = good;
}

int vestibule_av_prepare(void) {
  pthread_once(&once, load);
  return ready;
}

static void load_swr(void) {
  if (!vestibule_av_prepare()) return;
  void *library = dlopen("libswresample.so." TEXT(LIBSWRESAMPLE_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  swr_ready = take(library, "swr_alloc_set_opts2", &swr.alloc_set_opts2)
      && take(library, "swr_init", &swr.init)
      && take(library, "swr_convert", &swr.convert)
      && take(library, "swr_free", &swr.free);
}

int vestibule_swr_prepare(void) {
  pthread_once(&swr_once, load_swr);
  return swr_ready;
}
