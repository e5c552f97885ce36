// The thinnest shim over libopus, opened with dlopen at first use. Its interface has been frozen since 1.0 (2012),
// so the few declarations that we need stand in the source file and no header of its own is wanted at build time.
#pragma once
#include <stdint.h>

/// Opens the library. 1 when it stands. Any thread; the work is done once.
int vestibule_opus_prepare(void);

/// The samples that a payload stands for on a clock of 48 kHz, over all of its frames; -1 for what is no Opus, or
/// without the library.
int vestibule_opus_ticks(const uint8_t *_Nonnull bytes, int length);

typedef struct OpusDecoder vestibule_opus_decoder;
typedef struct OpusEncoder vestibule_opus_encoder;

/// A decoder to one channel at `rate` (8000 or 16000 here; stereo is mixed down); NULL when it cannot be had.
vestibule_opus_decoder *_Nullable vestibule_opus_decoder_make(int rate);
void vestibule_opus_decoder_free(vestibule_opus_decoder *_Nonnull decoder);
/// Decodes a payload into at most `capacity` samples. With `recover` it makes what the payload says of the packet
/// before it, exactly `capacity` samples; with NULL bytes it conceals exactly `capacity` samples. The samples made,
/// or -1.
int vestibule_opus_decode(
    vestibule_opus_decoder *_Nonnull decoder, const uint8_t *_Nullable bytes, int length, int16_t *_Nonnull out,
    int capacity, int recover);

/// An encoder of speech from one channel at `rate`; NULL when it cannot be had.
vestibule_opus_encoder *_Nullable vestibule_opus_encoder_make(
    int rate, int bitrate, int complexity, int fec, int constant);
void vestibule_opus_encoder_free(vestibule_opus_encoder *_Nonnull encoder);
/// Tells the encoder how many of a hundred packets are lost on the way: more, and it repeats more.
void vestibule_opus_encoder_expect_loss(vestibule_opus_encoder *_Nonnull encoder, int percent);
/// Encodes `count` samples (2.5 to 60 ms) into at most `capacity` bytes. The bytes, or -1.
int vestibule_opus_encode(
    vestibule_opus_encoder *_Nonnull encoder, const int16_t *_Nonnull samples, int count, uint8_t *_Nonnull out,
    int capacity);
