// The thinnest shim over libavcodec and libswresample: G.722, pictures, AAC. Opened with dlopen at first use.
//
// Flat values in, flat values out. Sizes were checked by the caller where this says so; everything that a stream
// says of itself is checked here.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Opens the libraries whose version matches the headers this was built with. 1 when they stand. Any thread; the
/// work is done once.
int vestibule_av_prepare(void);
/// Opens the resampler besides. 1 when it stands.
int vestibule_swr_prepare(void);

// G.722

typedef struct vestibule_g722 vestibule_g722;

/// A coder; NULL when the library is missing or refuses.
vestibule_g722 *_Nullable vestibule_g722_encoder(void);
vestibule_g722 *_Nullable vestibule_g722_decoder(void);
void vestibule_g722_free(vestibule_g722 *_Nonnull coder);

/// Encodes exactly 160 samples at 16 kHz into 80 bytes. 80, or -1.
int vestibule_g722_encode(vestibule_g722 *_Nonnull coder, const int16_t *_Nonnull samples, uint8_t *_Nonnull out);
/// Decodes `length` bytes into at most `capacity` samples at 16 kHz. The number of samples, or -1.
int vestibule_g722_decode(
    vestibule_g722 *_Nonnull coder, const uint8_t *_Nonnull bytes, int length, int16_t *_Nonnull out,
    int capacity);

// Pictures. An I420 picture is width * height bytes of luma, then two quarters of chroma; width and height even.

enum {
  VESTIBULE_H264 = 0,
  /// An encoder of the board, through the kernel.
  VESTIBULE_H264_BOARD = 1,
  VESTIBULE_VP8 = 2,
  VESTIBULE_JPEG = 3,
};

typedef struct {
  int coding;
  int width;
  int height;
  int pictures_per_second;
  int64_t bits_per_second;
  /// Pictures between key pictures that nobody asked for.
  int key_interval;
  int threads;
  /// Of JPEG: 1 (best) to 31.
  int coarseness;
} vestibule_encoder_setting;

typedef struct vestibule_encoder vestibule_encoder;

/// NULL when this machine has none or it refuses.
vestibule_encoder *_Nullable vestibule_encoder_make(vestibule_encoder_setting setting);
void vestibule_encoder_free(vestibule_encoder *_Nonnull encoder);
/// Hands in one I420 picture of the encoder's size. `time` must grow. 0, or -1.
int vestibule_encoder_send(
    vestibule_encoder *_Nonnull encoder, const uint8_t *_Nonnull picture, int64_t time, int as_key);
/// A coded picture, valid until the next call; NULL when there is none (yet).
const uint8_t *_Nullable vestibule_encoder_next(
    vestibule_encoder *_Nonnull encoder, int *_Nonnull length, int64_t *_Nonnull time, int *_Nonnull is_key);
/// Aims at another rate from the next picture on. 1 when the encoder can, else it must be made anew.
int vestibule_encoder_aim(vestibule_encoder *_Nonnull encoder, int64_t bits_per_second);

typedef struct vestibule_decoder vestibule_decoder;

/// Of H.264, VP8 or JPEG; pictures of more than `limit` pixels are refused.
vestibule_decoder *_Nullable vestibule_decoder_make(int coding, int64_t limit);
void vestibule_decoder_free(vestibule_decoder *_Nonnull decoder);
/// Hands in one coded picture, with start codes when it is H.264. 0, or -1.
int vestibule_decoder_send(vestibule_decoder *_Nonnull decoder, const uint8_t *_Nonnull bytes, int length, int64_t time);
/// Says that nothing follows: what the decoder held back can be had.
void vestibule_decoder_finish(vestibule_decoder *_Nonnull decoder);
/// Takes one decoded picture: 1 and its size cut to even numbers; 0 when there is none; -1 when it is of a kind or
/// size that we do not take, or was broken.
int vestibule_decoder_next(
    vestibule_decoder *_Nonnull decoder, int *_Nonnull width, int *_Nonnull height, int64_t *_Nonnull time);
/// Writes the picture that `next` told of as I420 in video's range (16 to 235), of exactly the size it told.
void vestibule_decoder_write(vestibule_decoder *_Nonnull decoder, uint8_t *_Nonnull out);

// Raw pixels

enum {
  VESTIBULE_YUYV = 0,
  VESTIBULE_UYVY = 1,
  VESTIBULE_NV12 = 2,
  VESTIBULE_I420 = 3,
  VESTIBULE_NV21 = 4,
  VESTIBULE_YV12 = 5,
};

/// Turns raw pixels into I420. `stride` is a line of luma (or of all, when packed) in bytes. The caller has checked
/// that the bytes are there.
void vestibule_pixels_raw(
    int layout, const uint8_t *_Nonnull in, int stride, int width, int height, uint8_t *_Nonnull out);
/// Shrinks or grows an I420 picture.
void vestibule_pixels_scale(
    const uint8_t *_Nonnull in, int width, int height, uint8_t *_Nonnull out, int out_width, int out_height);
/// Paints a rectangle inside the picture; even numbers.
void vestibule_pixels_fill(
    uint8_t *_Nonnull picture, int width, int height, int x, int y, int w, int h, uint8_t luma, uint8_t u, uint8_t v);
/// From video's range to all 256 values, as JPEG wants it.
void vestibule_pixels_widen(uint8_t *_Nonnull picture, int width, int height);

// AAC

typedef struct vestibule_aac vestibule_aac;

/// A decoder of raw AAC frames that were described by an AudioSpecificConfig, to one channel at 8 kHz.
vestibule_aac *_Nullable vestibule_aac_make(const uint8_t *_Nonnull config, int length);
void vestibule_aac_free(vestibule_aac *_Nonnull decoder);
/// Decodes one frame into at most `capacity` samples. Their number, or -1 for what cannot be read.
int vestibule_aac_decode(
    vestibule_aac *_Nonnull decoder, const uint8_t *_Nonnull bytes, int length, int16_t *_Nonnull out, int capacity);

// Rates of sound

typedef struct vestibule_resampler vestibule_resampler;

/// Turns one channel at `from` samples a second into the same at `to`; NULL when the library is missing or refuses.
vestibule_resampler *_Nullable vestibule_resampler_make(int from, int to);
void vestibule_resampler_free(vestibule_resampler *_Nonnull resampler);
/// Hands in `count` samples and takes out at most `capacity`; what has no room comes the next time. Their number, or -1.
int vestibule_resampler_take(
    vestibule_resampler *_Nonnull resampler, const int16_t *_Nonnull in, int count, int16_t *_Nonnull out,
    int capacity);
