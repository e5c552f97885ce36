#define _GNU_SOURCE
#include "CLinuxCapture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 4, INTERVALS = 256 };

struct clinux_capture {
  int fd;
  // Of libv4l2 when it stands between; else NULL, and the kernel is asked directly.
  int (*library_close)(int);
  int (*library_ioctl)(int, unsigned long, ...);
  void *(*library_mmap)(void *, size_t, int, int, int, int64_t);
  int (*library_munmap)(void *, size_t);
  struct {
    uint8_t *bytes;
    size_t length;
  } buffers[BUFFERS];
  int count;
  int streams;
  // The buffer that is lent, or -1.
  int lent;
};

static int ask(clinux_capture *c, unsigned long request, void *argument) {
  int outcome;
  do outcome = c->library_ioctl ? c->library_ioctl(c->fd, request, argument) : ioctl(c->fd, request, argument);
  while (outcome < 0 && errno == EINTR);
  return outcome < 0 ? -errno : 0;
}

void clinux_capture_close(clinux_capture *c) {
  if (c->streams) {
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    ask(c, VIDIOC_STREAMOFF, &type);
  }
  for (int i = 0; i < c->count; i++) {
    if (c->library_munmap) c->library_munmap(c->buffers[i].bytes, c->buffers[i].length);
    else munmap(c->buffers[i].bytes, c->buffers[i].length);
  }
  if (c->library_close) c->library_close(c->fd);
  else close(c->fd);
  free(c);
}

clinux_capture *clinux_capture_open(const char *path, int through_library, int *failure) {
  clinux_capture *c = calloc(1, sizeof *c);
  if (!c) abort();
  c->lent = -1;
  int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
  if (through_library) {
    // It stays open: it may have threads of its own.
    void *library = dlopen("libv4l2.so.0", RTLD_NOW | RTLD_LOCAL);
    int (*open_library)(const char *, int, ...) = NULL;
    if (library) {
      *(void **)&open_library = dlsym(library, "v4l2_open");
      *(void **)&c->library_close = dlsym(library, "v4l2_close");
      *(void **)&c->library_ioctl = dlsym(library, "v4l2_ioctl");
      *(void **)&c->library_mmap = dlsym(library, "v4l2_mmap");
      *(void **)&c->library_munmap = dlsym(library, "v4l2_munmap");
    }
    if (!open_library || !c->library_close || !c->library_ioctl || !c->library_mmap || !c->library_munmap) {
      *failure = -ELIBACC;
      free(c);
      return NULL;
    }
    c->fd = open_library(path, flags);
  } else {
    c->fd = open(path, flags);
  }
  if (c->fd < 0) {
    *failure = -errno;
    free(c);
    return NULL;
  }
  struct v4l2_capability capability = {0};
  int outcome = ask(c, VIDIOC_QUERYCAP, &capability);
  uint32_t can = capability.capabilities & V4L2_CAP_DEVICE_CAPS ? capability.device_caps : capability.capabilities;
  uint32_t needed = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
  if (outcome == 0 && (can & needed) == needed) return c;
  *failure = outcome == -ENODEV ? outcome : -ENOTTY;
  clinux_capture_close(c);
  return NULL;
}

int clinux_capture_descriptor(const clinux_capture *c) { return c->fd; }

// MARK: Formats

int clinux_capture_format(clinux_capture *c, int index, uint32_t *format) {
  struct v4l2_fmtdesc description = {.index = (uint32_t)index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
  int outcome = ask(c, VIDIOC_ENUM_FMT, &description);
  *format = description.pixelformat;
  return outcome;
}

static struct v4l2_format format_of(uint32_t pixels, uint32_t width, uint32_t height) {
  struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
  format.fmt.pix.width = width;
  format.fmt.pix.height = height;
  format.fmt.pix.pixelformat = pixels;
  format.fmt.pix.field = V4L2_FIELD_NONE;
  return format;
}

int clinux_capture_try(clinux_capture *c, uint32_t pixels, uint32_t *width, uint32_t *height) {
  struct v4l2_format format = format_of(pixels, *width, *height);
  int outcome = ask(c, VIDIOC_TRY_FMT, &format);
  if (outcome < 0) return outcome;
  if (format.fmt.pix.pixelformat != pixels) return -EINVAL;
  *width = format.fmt.pix.width;
  *height = format.fmt.pix.height;
  return 0;
}

int clinux_capture_set(
    clinux_capture *c, uint32_t pixels, uint32_t *width, uint32_t *height, uint32_t *stride) {
  struct v4l2_format format = format_of(pixels, *width, *height);
  int outcome = ask(c, VIDIOC_S_FMT, &format);
  if (outcome < 0) return outcome;
  if (format.fmt.pix.pixelformat != pixels) return -EINVAL;
  *width = format.fmt.pix.width;
  *height = format.fmt.pix.height;
  *stride = format.fmt.pix.bytesperline;
  return 0;
}

static int rate(struct v4l2_fract interval) {
  if (interval.numerator == 0) return 0;
  return (int)(((uint64_t)interval.denominator + interval.numerator / 2) / interval.numerator);
}

int clinux_capture_fastest(clinux_capture *c, uint32_t pixels, uint32_t width, uint32_t height) {
  int fastest = 0;
  for (uint32_t index = 0; index < INTERVALS; index++) {
    struct v4l2_frmivalenum interval = {
        .index = index, .pixel_format = pixels, .width = width, .height = height};
    if (ask(c, VIDIOC_ENUM_FRAMEINTERVALS, &interval) < 0) break;
    int found = rate(interval.type == V4L2_FRMIVAL_TYPE_DISCRETE ? interval.discrete : interval.stepwise.min);
    if (found > fastest) fastest = found;
    if (interval.type != V4L2_FRMIVAL_TYPE_DISCRETE) break;
  }
  return fastest;
}

int clinux_capture_set_rate(clinux_capture *c, int pictures_per_second) {
  struct v4l2_streamparm parameters = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
  if (ask(c, VIDIOC_G_PARM, &parameters) < 0) return 0;
  if (parameters.parm.capture.capability & V4L2_CAP_TIMEPERFRAME) {
    parameters.parm.capture.timeperframe = (struct v4l2_fract){1, (uint32_t)pictures_per_second};
    if (ask(c, VIDIOC_S_PARM, &parameters) < 0) ask(c, VIDIOC_G_PARM, &parameters);
  }
  return rate(parameters.parm.capture.timeperframe);
}

// MARK: Controls

int clinux_capture_next_control(clinux_capture *c, uint32_t *id, char name[32], int64_t *least, int64_t *most) {
  for (;;) {
    struct v4l2_queryctrl query = {.id = *id | V4L2_CTRL_FLAG_NEXT_CTRL};
    if (ask(c, VIDIOC_QUERYCTRL, &query) < 0) return 0;
    if (query.id <= *id) return 0;
    *id = query.id;
    if (query.flags & (V4L2_CTRL_FLAG_DISABLED | V4L2_CTRL_FLAG_READ_ONLY)) continue;
    switch (query.type) {
    case V4L2_CTRL_TYPE_INTEGER: case V4L2_CTRL_TYPE_BOOLEAN: case V4L2_CTRL_TYPE_MENU:
    case V4L2_CTRL_TYPE_INTEGER_MENU: case V4L2_CTRL_TYPE_BITMASK: break;
    default: continue;
    }
    memcpy(name, query.name, 31);
    name[31] = 0;
    *least = query.type == V4L2_CTRL_TYPE_BITMASK ? 0 : query.minimum;
    *most = query.type == V4L2_CTRL_TYPE_BITMASK ? (int64_t)(uint32_t)query.maximum : query.maximum;
    return 1;
  }
}

int clinux_capture_set_control(clinux_capture *c, uint32_t id, int64_t value) {
  struct v4l2_control control = {.id = id, .value = (int32_t)value};
  return ask(c, VIDIOC_S_CTRL, &control);
}

int clinux_capture_force_key(clinux_capture *c) {
  return clinux_capture_set_control(c, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1);
}

int clinux_capture_set_bit_rate(clinux_capture *c, int bits_per_second) {
  return clinux_capture_set_control(c, V4L2_CID_MPEG_VIDEO_BITRATE, bits_per_second);
}

// MARK: Streaming

static int queue(clinux_capture *c, int index) {
  struct v4l2_buffer buffer = {
      .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = (uint32_t)index};
  return ask(c, VIDIOC_QBUF, &buffer);
}

int clinux_capture_start(clinux_capture *c) {
  struct v4l2_requestbuffers request = {
      .count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
  int outcome = ask(c, VIDIOC_REQBUFS, &request);
  if (outcome < 0) return outcome;
  if (request.count == 0) return -ENOMEM;
  int count = request.count < BUFFERS ? (int)request.count : BUFFERS;
  for (int i = 0; i < count; i++) {
    struct v4l2_buffer buffer = {
        .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP, .index = (uint32_t)i};
    outcome = ask(c, VIDIOC_QUERYBUF, &buffer);
    if (outcome < 0) return outcome;
    void *bytes = c->library_mmap
        ? c->library_mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, buffer.m.offset)
        : mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, buffer.m.offset);
    if (bytes == MAP_FAILED) return -errno;
    c->buffers[i].bytes = bytes;
    c->buffers[i].length = buffer.length;
    c->count = i + 1;
    outcome = queue(c, i);
    if (outcome < 0) return outcome;
  }
  int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
  outcome = ask(c, VIDIOC_STREAMON, &type);
  c->streams = outcome == 0;
  return outcome;
}

int clinux_capture_take(
    clinux_capture *c, int newest, const uint8_t **bytes, size_t *length, int64_t *taken) {
  struct v4l2_buffer found = {0};
  int has = 0;
  for (int i = 0; i < BUFFERS; i++) {
    struct v4l2_buffer buffer = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    int outcome = ask(c, VIDIOC_DQBUF, &buffer);
    if (outcome == -EAGAIN) break;
    if (outcome < 0) {
      if (has) queue(c, (int)found.index);
      return outcome;
    }
    if (buffer.index >= (uint32_t)c->count) return -EIO;
    if (buffer.flags & V4L2_BUF_FLAG_ERROR || buffer.bytesused == 0
        || buffer.bytesused > c->buffers[buffer.index].length) {
      outcome = queue(c, (int)buffer.index);
      if (outcome < 0) return outcome;
      continue;
    }
    if (has) queue(c, (int)found.index);
    found = buffer;
    has = 1;
    // libv4l2 complains on standard error when it is asked and has none.
    if (!newest || c->library_ioctl) break;
  }
  if (!has) return 0;
  c->lent = (int)found.index;
  *bytes = c->buffers[found.index].bytes;
  *length = found.bytesused;
  int is_monotonic = (found.flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
  *taken = is_monotonic ? (int64_t)found.timestamp.tv_sec * 1000000000 + (int64_t)found.timestamp.tv_usec * 1000 : 0;
  return 1;
}

int clinux_capture_give(clinux_capture *c) {
  if (c->lent < 0) return 0;
  int index = c->lent;
  c->lent = -1;
  return queue(c, index);
}
