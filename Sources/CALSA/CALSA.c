#include "CALSA.h"

#include <alsa/asoundlib.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FUNCTIONS(each) \
  each(lib_error_set_handler) each(pcm_open) each(pcm_close) each(pcm_hw_params_malloc) each(pcm_hw_params_free) \
  each(pcm_hw_params_any) each(pcm_hw_params_set_rate_resample) each(pcm_hw_params_set_access) \
  each(pcm_hw_params_test_format) each(pcm_hw_params_set_format) each(pcm_hw_params_set_channels_near) \
  each(pcm_hw_params_set_rate_near) each(pcm_hw_params_set_period_time_near) \
  each(pcm_hw_params_set_buffer_time_near) each(pcm_hw_params) each(pcm_start) each(pcm_recover) each(pcm_readi) \
  each(pcm_poll_descriptors_count) each(pcm_poll_descriptors) each(pcm_poll_descriptors_revents)

#define PLACE(name) __typeof__(&snd_##name) name;
static struct { FUNCTIONS(PLACE) } alsa;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ready;  // Written once, under `once`.

// What goes wrong is told by its code; the library would write to standard error besides.
static void quiet(const char *file, int line, const char *function, int code, const char *format, ...) {}

static int take(void *library, const char *name, void *place) {
  void *symbol = dlsym(library, name);
  memcpy(place, &symbol, sizeof symbol);
  return symbol != NULL;
}

static void load(void) {
  void *library = dlopen("libasound.so.2", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  int good = 1;
#define TAKE(name) good = good && take(library, "snd_" #name, &alsa.name);
  FUNCTIONS(TAKE)
  if (good) alsa.lib_error_set_handler(quiet);
  ready = good;
}

enum { DESCRIPTORS = 8, MOST_CHANNELS = 32, PERIOD_MICROSECONDS = 20000, BUFFER_MICROSECONDS = 400000 };

struct calsa_card {
  snd_pcm_t *pcm;
  snd_pcm_format_t format;
  int channels;
  // Stands for all descriptors of the card.
  int epoll;
  struct pollfd polls[DESCRIPTORS];
  int count;
  // What the card gives, before it is made 16 bits.
  uint8_t *raw;
};

void calsa_close(calsa_card *card) {
  if (card->epoll >= 0) close(card->epoll);
  if (card->pcm) alsa.pcm_close(card->pcm);
  free(card->raw);
  free(card);
}

static int choose(calsa_card *card, snd_pcm_hw_params_t *params, int *rate) {
  static const snd_pcm_format_t formats[] = {
      SND_PCM_FORMAT_S16_LE, SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_S24_LE, SND_PCM_FORMAT_S24_3LE, SND_PCM_FORMAT_U8};
  int outcome = alsa.pcm_hw_params_any(card->pcm, params);
  if (outcome < 0) return outcome;
  // The library's own conversion of rates lets through what folds back.
  alsa.pcm_hw_params_set_rate_resample(card->pcm, params, 0);
  if (alsa.pcm_hw_params_set_access(card->pcm, params, SND_PCM_ACCESS_RW_INTERLEAVED) < 0) return -EINVAL;
  unsigned place = 0;
  while (place < sizeof formats / sizeof *formats
         && alsa.pcm_hw_params_test_format(card->pcm, params, formats[place]) < 0)
    place++;
  if (place == sizeof formats / sizeof *formats) return -EINVAL;
  card->format = formats[place];
  unsigned channels = 1, hertz = 16000, period = PERIOD_MICROSECONDS, buffer = BUFFER_MICROSECONDS;
  int direction = 0;
  if (alsa.pcm_hw_params_set_format(card->pcm, params, card->format) < 0
      || alsa.pcm_hw_params_set_channels_near(card->pcm, params, &channels) < 0
      || alsa.pcm_hw_params_set_rate_near(card->pcm, params, &hertz, &direction) < 0
      || channels > MOST_CHANNELS || hertz < 4000 || hertz > 384000)
    return -EINVAL;
  // Whatever the card makes of these will do.
  alsa.pcm_hw_params_set_period_time_near(card->pcm, params, &period, &direction);
  alsa.pcm_hw_params_set_buffer_time_near(card->pcm, params, &buffer, &direction);
  card->channels = (int)channels;
  *rate = (int)hertz;
  return alsa.pcm_hw_params(card->pcm, params);
}

static int watch(calsa_card *card) {
  card->count = alsa.pcm_poll_descriptors_count(card->pcm);
  if (card->count < 1 || card->count > DESCRIPTORS) return -EINVAL;
  card->count = alsa.pcm_poll_descriptors(card->pcm, card->polls, (unsigned)card->count);
  card->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (card->epoll < 0) return -errno;
  for (int i = 0; i < card->count; i++) {
    struct epoll_event event = {.events = (uint32_t)card->polls[i].events};
    // What cannot be waited for is no card (ALSA's `null` is such).
    if (epoll_ctl(card->epoll, EPOLL_CTL_ADD, card->polls[i].fd, &event) < 0) return -EINVAL;
  }
  return 0;
}

calsa_card *calsa_open(const char *name, int *rate, int *channels, int *failure) {
  pthread_once(&once, load);
  if (!ready) {
    *failure = -ELIBACC;
    return NULL;
  }
  calsa_card *card = calloc(1, sizeof *card);
  if (!card) abort();
  card->epoll = -1;
  int outcome = alsa.pcm_open(&card->pcm, name, SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK);
  if (outcome < 0) card->pcm = NULL;
  snd_pcm_hw_params_t *params = NULL;
  if (outcome >= 0) outcome = alsa.pcm_hw_params_malloc(&params);
  if (outcome >= 0) outcome = choose(card, params, rate);
  if (params) alsa.pcm_hw_params_free(params);
  if (outcome >= 0) outcome = watch(card);
  if (outcome >= 0) outcome = alsa.pcm_start(card->pcm);
  if (outcome < 0) {
    *failure = outcome;
    calsa_close(card);
    return NULL;
  }
  card->raw = malloc((size_t)CALSA_FRAMES * (size_t)card->channels * 4);
  if (!card->raw) abort();
  *channels = card->channels;
  return card;
}

int calsa_descriptor(const calsa_card *card) { return card->epoll; }

static void narrow(const calsa_card *card, int count, int16_t *out) {
  const uint8_t *in = card->raw;
  switch (card->format) {
  case SND_PCM_FORMAT_U8:
    for (int i = 0; i < count; i++) out[i] = (int16_t)((in[i] - 128) * 256);
    break;
  case SND_PCM_FORMAT_S24_3LE:
    for (int i = 0; i < count; i++) out[i] = (int16_t)(in[3 * i + 1] | in[3 * i + 2] << 8);
    break;
  case SND_PCM_FORMAT_S24_LE:
    for (int i = 0; i < count; i++) out[i] = (int16_t)(in[4 * i + 1] | in[4 * i + 2] << 8);
    break;
  case SND_PCM_FORMAT_S32_LE:
    for (int i = 0; i < count; i++) out[i] = (int16_t)(in[4 * i + 2] | in[4 * i + 3] << 8);
    break;
  default: memcpy(out, in, (size_t)count * 2);
  }
}

int calsa_read(calsa_card *card, int16_t *out, int *lost) {
  *lost = 0;
  // Some kinds of card are only quiet again when they have seen what woke us.
  unsigned short events = 0;
  if (poll(card->polls, (nfds_t)card->count, 0) > 0)
    alsa.pcm_poll_descriptors_revents(card->pcm, card->polls, (unsigned)card->count, &events);
  snd_pcm_sframes_t got = alsa.pcm_readi(card->pcm, card->raw, CALSA_FRAMES);
  if (got >= 0) {
    narrow(card, (int)got * card->channels, out);
    return (int)got;
  }
  if (got == -EAGAIN || got == -EINTR) return 0;
  // It ran over, or slept with the machine.
  if (got == -EPIPE || got == -ESTRPIPE) {
    *lost = 1;
    int outcome = alsa.pcm_recover(card->pcm, (int)got, 1);
    return outcome < 0 ? outcome : alsa.pcm_start(card->pcm);
  }
  return (int)got;
}
