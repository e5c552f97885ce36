// Capture devices (V4L2): opened, set up, streamed through mapped buffers. One thread at a time.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct clinux_capture clinux_capture;

/// Opens a device that captures pictures. `through_library`: by libv4l2, when this machine has it, which converts formats
/// that the device lacks. NULL and a negative errno in `failure`: -ENOTTY when it captures nothing, -ELIBACC without the
/// library.
clinux_capture *_Nullable clinux_capture_open(const char *_Nonnull path, int through_library, int *_Nonnull failure);
/// Ends streaming too.
void clinux_capture_close(clinux_capture *_Nonnull capture);
int clinux_capture_descriptor(const clinux_capture *_Nonnull capture);

/// The format number `index` as its four characters, the first lowest. 0 or -errno, which is -EINVAL after the last.
int clinux_capture_format(clinux_capture *_Nonnull capture, int index, uint32_t *_Nonnull format);
/// What the device would make of a format and size. 0 or -errno.
int clinux_capture_try(
    clinux_capture *_Nonnull capture, uint32_t format, uint32_t *_Nonnull width, uint32_t *_Nonnull height);
/// The most pictures a second of a format and size; 0 when the device does not say.
int clinux_capture_fastest(clinux_capture *_Nonnull capture, uint32_t format, uint32_t width, uint32_t height);
/// Sets format and size, and tells what became of them. 0 or -errno; -EINVAL when it gives another format.
int clinux_capture_set(
    clinux_capture *_Nonnull capture, uint32_t format, uint32_t *_Nonnull width, uint32_t *_Nonnull height,
    uint32_t *_Nonnull stride);
/// Asks for so many pictures a second. How many it gives, 0 when it does not say.
int clinux_capture_set_rate(clinux_capture *_Nonnull capture, int pictures_per_second);

/// The control after `*id` (0: the first): its name, and what it takes. 0 when there is none.
int clinux_capture_next_control(
    clinux_capture *_Nonnull capture, uint32_t *_Nonnull id, char name[_Nonnull 32], int64_t *_Nonnull least,
    int64_t *_Nonnull most);
/// 0 or -errno.
int clinux_capture_set_control(clinux_capture *_Nonnull capture, uint32_t id, int64_t value);
/// Of an encoder in the device. 0 or -errno.
int clinux_capture_force_key(clinux_capture *_Nonnull capture);
int clinux_capture_set_bit_rate(clinux_capture *_Nonnull capture, int bits_per_second);

/// Maps buffers and begins. 0 or -errno.
int clinux_capture_start(clinux_capture *_Nonnull capture);
/// Lends the next picture (`newest`: the newest, and drops those before) until `clinux_capture_give`, and when it was
/// taken on the monotonic clock (0: the device does not know). 1; 0 when there is none or it was broken; -errno.
int clinux_capture_take(
    clinux_capture *_Nonnull capture, int newest, const uint8_t *_Nullable *_Nonnull bytes, size_t *_Nonnull length,
    int64_t *_Nonnull taken);
/// Gives back what was lent. 0 or -errno.
int clinux_capture_give(clinux_capture *_Nonnull capture);
