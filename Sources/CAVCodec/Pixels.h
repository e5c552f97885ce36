// What the files of this folder share about pixels.
#pragma once
#include <stdint.h>

/// Copies `width` x `height` pixels that lie `step` apart in lines of `stride`, through `table` when there is one.
void vestibule_plane_copy(
    const uint8_t *in, int stride, int step, uint8_t *out, int width, int height, const uint8_t *table);
/// Copies half of the lines, each the mean of two.
void vestibule_plane_halve(
    const uint8_t *in, int stride, int step, uint8_t *out, int width, int height, const uint8_t *table);
/// From all 256 values to video's range.
const uint8_t *vestibule_narrow_luma(void);
const uint8_t *vestibule_narrow_chroma(void);
