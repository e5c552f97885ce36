#include "CAVCodec.h"
#include "Library.h"

vestibule_resampler *vestibule_resampler_make(int from, int to) {
  if (from < 1000 || from > 768000 || to < 1000 || to > 768000 || !vestibule_swr_prepare()) return NULL;
  AVChannelLayout mono = {0};
  av.layout_default(&mono, 1);
  struct SwrContext *made = NULL;
  if (swr.alloc_set_opts2(&made, &mono, AV_SAMPLE_FMT_S16, to, &mono, AV_SAMPLE_FMT_S16, from, 0, NULL) < 0) return NULL;
  if (swr.init(made) < 0) swr.free(&made);
  return (vestibule_resampler *)made;
}

void vestibule_resampler_free(vestibule_resampler *resampler) {
  struct SwrContext *made = (struct SwrContext *)resampler;
  swr.free(&made);
}

int vestibule_resampler_take(
    vestibule_resampler *resampler, const int16_t *in, int count, int16_t *out, int capacity) {
  uint8_t *to = (uint8_t *)out;
  const uint8_t *from = (const uint8_t *)in;
  return swr.convert((struct SwrContext *)resampler, &to, capacity, &from, count);
}
