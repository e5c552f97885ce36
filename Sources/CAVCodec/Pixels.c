#include "Pixels.h"
#include "CAVCodec.h"

#include <pthread.h>
#include <string.h>

// MARK: Ranges

static uint8_t narrow_luma[256], narrow_chroma[256], wide_luma[256], wide_chroma[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint8_t clamp(int value) { return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value; }

static void make_tables(void) {
  for (int i = 0; i < 256; i++) {
    narrow_luma[i] = clamp(16 + (i * 219 + 127) / 255);
    narrow_chroma[i] = clamp(128 + ((i - 128) * 224 + (i < 128 ? -127 : 127)) / 255);
    wide_luma[i] = clamp(((i - 16) * 255 + 109) / 219);
    wide_chroma[i] = clamp(128 + ((i - 128) * 255 + (i < 128 ? -112 : 112)) / 224);
  }
}

const uint8_t *vestibule_narrow_luma(void) {
  pthread_once(&once, make_tables);
  return narrow_luma;
}

const uint8_t *vestibule_narrow_chroma(void) {
  pthread_once(&once, make_tables);
  return narrow_chroma;
}

void vestibule_pixels_widen(uint8_t *picture, int width, int height) {
  pthread_once(&once, make_tables);
  size_t luma = (size_t)width * (size_t)height;
  for (size_t i = 0; i < luma; i++) picture[i] = wide_luma[picture[i]];
  for (size_t i = luma; i < luma + luma / 2; i++) picture[i] = wide_chroma[picture[i]];
}

// MARK: Planes

void vestibule_plane_copy(
    const uint8_t *in, int stride, int step, uint8_t *out, int width, int height, const uint8_t *table) {
  for (int y = 0; y < height; y++, in += stride, out += width) {
    if (table)
      for (int x = 0; x < width; x++) out[x] = table[in[x * step]];
    else if (step == 1)
      memcpy(out, in, (size_t)width);
    else
      for (int x = 0; x < width; x++) out[x] = in[x * step];
  }
}

void vestibule_plane_halve(
    const uint8_t *in, int stride, int step, uint8_t *out, int width, int height, const uint8_t *table) {
  for (int y = 0; y < height; y++, in += 2 * (ptrdiff_t)stride, out += width) {
    const uint8_t *below = in + stride;
    for (int x = 0; x < width; x++) {
      uint8_t mean = (uint8_t)((in[x * step] + below[x * step] + 1) >> 1);
      out[x] = table ? table[mean] : mean;
    }
  }
}

void vestibule_pixels_raw(int layout, const uint8_t *in, int stride, int width, int height, uint8_t *out) {
  uint8_t *u = out + (size_t)width * (size_t)height;
  uint8_t *v = u + (size_t)width * (size_t)height / 4;
  int w = width / 2, h = height / 2;
  const uint8_t *chroma = in + (size_t)stride * (size_t)height;
  const uint8_t *second = chroma + (size_t)(stride / 2) * (size_t)h;
  switch (layout) {
  case VESTIBULE_YUYV:
    vestibule_plane_copy(in, stride, 2, out, width, height, NULL);
    vestibule_plane_halve(in + 1, stride, 4, u, w, h, NULL);
    vestibule_plane_halve(in + 3, stride, 4, v, w, h, NULL);
    break;
  case VESTIBULE_UYVY:
    vestibule_plane_copy(in + 1, stride, 2, out, width, height, NULL);
    vestibule_plane_halve(in, stride, 4, u, w, h, NULL);
    vestibule_plane_halve(in + 2, stride, 4, v, w, h, NULL);
    break;
  case VESTIBULE_NV12:
  case VESTIBULE_NV21:
    vestibule_plane_copy(in, stride, 1, out, width, height, NULL);
    vestibule_plane_copy(chroma, stride, 2, layout == VESTIBULE_NV12 ? u : v, w, h, NULL);
    vestibule_plane_copy(chroma + 1, stride, 2, layout == VESTIBULE_NV12 ? v : u, w, h, NULL);
    break;
  default:
    vestibule_plane_copy(in, stride, 1, out, width, height, NULL);
    vestibule_plane_copy(chroma, stride / 2, 1, layout == VESTIBULE_I420 ? u : v, w, h, NULL);
    vestibule_plane_copy(second, stride / 2, 1, layout == VESTIBULE_I420 ? v : u, w, h, NULL);
  }
}

// MARK: Scaling

// Two neighbours in each direction, weighed in 256ths: for sizes that differ by less than a factor of two.
static void blend(const uint8_t *in, int width, int height, uint8_t *out, int out_width, int out_height) {
  int64_t step_x = ((int64_t)width << 16) / out_width, step_y = ((int64_t)height << 16) / out_height;
  for (int y = 0; y < out_height; y++) {
    int64_t at_y = y * step_y + step_y / 2 - 0x8000;
    if (at_y < 0) at_y = 0;
    int line = (int)(at_y >> 16), weight_y = (int)(at_y >> 8 & 255);
    const uint8_t *upper = in + (size_t)line * (size_t)width;
    const uint8_t *lower = line + 1 < height ? upper + width : upper;
    for (int x = 0; x < out_width; x++) {
      int64_t at_x = x * step_x + step_x / 2 - 0x8000;
      if (at_x < 0) at_x = 0;
      int left = (int)(at_x >> 16), weight_x = (int)(at_x >> 8 & 255);
      int right = left + 1 < width ? left + 1 : left;
      int top = upper[left] * (256 - weight_x) + upper[right] * weight_x;
      int bottom = lower[left] * (256 - weight_x) + lower[right] * weight_x;
      out[x] = (uint8_t)((top * (256 - weight_y) + bottom * weight_y + 0x8000) >> 16);
    }
    out += out_width;
  }
}

// The mean of all pixels that become one.
static void gather(const uint8_t *in, int width, int height, uint8_t *out, int out_width, int out_height) {
  for (int y = 0; y < out_height; y++) {
    int top = (int)((int64_t)y * height / out_height), bottom = (int)((int64_t)(y + 1) * height / out_height);
    if (bottom <= top) bottom = top + 1;
    for (int x = 0; x < out_width; x++) {
      int left = (int)((int64_t)x * width / out_width), right = (int)((int64_t)(x + 1) * width / out_width);
      if (right <= left) right = left + 1;
      uint32_t sum = 0, count = (uint32_t)(right - left) * (uint32_t)(bottom - top);
      for (int line = top; line < bottom; line++)
        for (int column = left; column < right; column++) sum += in[(size_t)line * (size_t)width + (size_t)column];
      out[x] = (uint8_t)((sum + count / 2) / count);
    }
    out += out_width;
  }
}

static void scale(const uint8_t *in, int width, int height, uint8_t *out, int out_width, int out_height) {
  if (width >= 2 * out_width || height >= 2 * out_height)
    gather(in, width, height, out, out_width, out_height);
  else
    blend(in, width, height, out, out_width, out_height);
}

void vestibule_pixels_scale(
    const uint8_t *in, int width, int height, uint8_t *out, int out_width, int out_height) {
  size_t luma = (size_t)width * (size_t)height, out_luma = (size_t)out_width * (size_t)out_height;
  scale(in, width, height, out, out_width, out_height);
  for (int plane = 0; plane < 2; plane++)
    scale(
        in + luma + (size_t)plane * (luma / 4), width / 2, height / 2,
        out + out_luma + (size_t)plane * (out_luma / 4), out_width / 2, out_height / 2);
}

void vestibule_pixels_fill(
    uint8_t *picture, int width, int height, int x, int y, int w, int h, uint8_t luma, uint8_t u, uint8_t v) {
  size_t size = (size_t)width * (size_t)height;
  for (int line = y; line < y + h; line++)
    memset(picture + (size_t)line * (size_t)width + (size_t)x, luma, (size_t)w);
  for (int line = y / 2; line < (y + h) / 2; line++) {
    size_t place = size + (size_t)line * (size_t)(width / 2) + (size_t)(x / 2);
    memset(picture + place, u, (size_t)(w / 2));
    memset(picture + place + size / 4, v, (size_t)(w / 2));
  }
}
