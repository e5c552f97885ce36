// The thinnest shim over libavcodec for G.722, opened with dlopen at first use.
#pragma once
#include <stdint.h>

/// Opens the libraries whose version matches the headers this was built with. 1 when they stand. Any thread; the
/// work is done once.
int vestibule_av_prepare(void);

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
