// The thinnest shim over ALSA's libasound: sound cards that are listened to. Opened with dlopen at first use: a machine
// without it has no microphones, and starts all the same. One thread at a time for each card.
#pragma once
#include <stdint.h>

typedef struct calsa_card calsa_card;

/// Samples of one channel that one `calsa_read` gives at most.
enum { CALSA_FRAMES = 1024 };

/// Opens a card by ALSA's name for it and begins to listen, at a rate as near to 16 kHz as it has and with as few channels.
/// NULL and a negative errno in `failure`: -ELIBACC without the library, -EINVAL for a card that gives nothing we read.
calsa_card *_Nullable calsa_open(const char *_Nonnull name, int *_Nonnull rate, int *_Nonnull channels, int *_Nonnull failure);
void calsa_close(calsa_card *_Nonnull card);
/// Readable when the card has something, and when it has something to complain of.
int calsa_descriptor(const calsa_card *_Nonnull card);
/// Writes what the card has into `out`, which holds CALSA_FRAMES times the channels, those beside one another. How many
/// samples of each, 0 when there are none; `lost`: the card ran over and was set going again. -errno when it is no use any
/// more.
int calsa_read(calsa_card *_Nonnull card, int16_t *_Nonnull out, int *_Nonnull lost);
