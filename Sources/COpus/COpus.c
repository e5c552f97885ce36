#include "COpus.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

// Of opus_defines.h: a stable part of the library's interface.
enum {
  APPLICATION_VOIP = 2048,
  SET_BITRATE = 4002,
  SET_VBR = 4006,
  SET_COMPLEXITY = 4010,
  SET_INBAND_FEC = 4012,
  SET_PACKET_LOSS_PERC = 4014,
  SET_SIGNAL = 4024,
  SIGNAL_VOICE = 3001,
};

static struct {
  vestibule_opus_decoder *(*decoder_create)(int32_t rate, int channels, int *error);
  void (*decoder_destroy)(vestibule_opus_decoder *);
  int (*decode)(vestibule_opus_decoder *, const unsigned char *, int32_t length, int16_t *, int frame_size, int fec);
  vestibule_opus_encoder *(*encoder_create)(int32_t rate, int channels, int application, int *error);
  void (*encoder_destroy)(vestibule_opus_encoder *);
  int32_t (*encode)(vestibule_opus_encoder *, const int16_t *, int frame_size, unsigned char *, int32_t capacity);
  int (*encoder_ctl)(vestibule_opus_encoder *, int request, ...);
  int (*packet_get_nb_samples)(const unsigned char *, int32_t length, int32_t rate);
} opus;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ready;  // Written once, under `once`.

static int take(void *library, const char *name, void *place) {
  void *symbol = dlsym(library, name);
  memcpy(place, &symbol, sizeof symbol);
  return symbol != NULL;
}

static void load(void) {
  void *library = dlopen("libopus.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  ready = take(library, "opus_decoder_create", &opus.decoder_create)
      && take(library, "opus_decoder_destroy", &opus.decoder_destroy)
      && take(library, "opus_decode", &opus.decode)
      && take(library, "opus_encoder_create", &opus.encoder_create)
      && take(library, "opus_encoder_destroy", &opus.encoder_destroy)
      && take(library, "opus_encode", &opus.encode)
      && take(library, "opus_encoder_ctl", &opus.encoder_ctl)
      && take(library, "opus_packet_get_nb_samples", &opus.packet_get_nb_samples);
}

int vestibule_opus_prepare(void) {
  pthread_once(&once, load);
  return ready;
}

int vestibule_opus_ticks(const uint8_t *bytes, int length) {
  if (!vestibule_opus_prepare() || length <= 0) return -1;
  int count = opus.packet_get_nb_samples(bytes, length, 48000);
  return count > 0 ? count : -1;
}

vestibule_opus_decoder *vestibule_opus_decoder_make(int rate) {
  int error = 0;
  return vestibule_opus_prepare() ? opus.decoder_create(rate, 1, &error) : NULL;
}

void vestibule_opus_decoder_free(vestibule_opus_decoder *decoder) { opus.decoder_destroy(decoder); }

int vestibule_opus_decode(
    vestibule_opus_decoder *decoder, const uint8_t *bytes, int length, int16_t *out, int capacity, int recover) {
  // A length of 0 would be taken for a loss.
  if (bytes && length <= 0) return -1;
  int count = opus.decode(decoder, bytes, bytes ? length : 0, out, capacity, bytes && recover ? 1 : 0);
  return count > 0 ? count : -1;
}

vestibule_opus_encoder *vestibule_opus_encoder_make(int rate, int bitrate, int complexity, int fec, int constant) {
  int error = 0;
  if (!vestibule_opus_prepare()) return NULL;
  vestibule_opus_encoder *encoder = opus.encoder_create(rate, 1, APPLICATION_VOIP, &error);
  if (!encoder) return NULL;
  if (opus.encoder_ctl(encoder, SET_BITRATE, (int32_t)bitrate)
      || opus.encoder_ctl(encoder, SET_COMPLEXITY, (int32_t)complexity)
      || opus.encoder_ctl(encoder, SET_INBAND_FEC, (int32_t)(fec != 0))
      || opus.encoder_ctl(encoder, SET_VBR, (int32_t)(constant == 0))
      || opus.encoder_ctl(encoder, SET_SIGNAL, (int32_t)SIGNAL_VOICE)) {
    opus.encoder_destroy(encoder);
    return NULL;
  }
  return encoder;
}

void vestibule_opus_encoder_free(vestibule_opus_encoder *encoder) { opus.encoder_destroy(encoder); }

void vestibule_opus_encoder_expect_loss(vestibule_opus_encoder *encoder, int percent) {
  opus.encoder_ctl(encoder, SET_PACKET_LOSS_PERC, (int32_t)(percent < 0 ? 0 : percent > 100 ? 100 : percent));
}

int vestibule_opus_encode(
    vestibule_opus_encoder *encoder, const int16_t *samples, int count, uint8_t *out, int capacity) {
  int32_t length = opus.encode(encoder, samples, count, out, capacity);
  return length > 0 ? length : -1;
}
