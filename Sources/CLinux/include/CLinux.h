// What `import Glibc` lacks of the kernel: epoll, batched datagrams, signals by descriptor, GPIO lines.
//
// Flat values in, flat values out, negative numbers for -errno: no pointer arithmetic is left to the caller.
// The feature macros stand in the .c file only: `fd_set` and others would differ between modules otherwise.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "CLinuxCapture.h"

/// An endpoint. IPv4 is the mapped form; `high` and `low` are big-endian words as numbers; `path` is AF_UNIX.
typedef struct {
  uint64_t high;
  uint64_t low;
  uint32_t scope;
  uint16_t port;
} clinux_endpoint;

// Descriptors

int clinux_close(int fd);
/// Opens /dev/null: a descriptor held back for the day there are none left.
int clinux_open_reserve(void);
int clinux_eventfd(int blocking);
/// Adds one to the eventfd; never blocks for long.
int clinux_eventfd_signal(int fd);
/// Takes the count; blocks when the eventfd was made blocking.
int clinux_eventfd_take(int fd);

/// Waits until one of two descriptors (-1: none) is readable or in a bad way, or for `nanoseconds` (negative: for ever).
/// Bit 0 for `one`, bit 1 for `other`.
int clinux_wait_readable(int one, int other, int64_t nanoseconds);

// Clocks and chance

int64_t clinux_monotonic(void);
int64_t clinux_wall(void);
/// Nanoseconds of the processor that the calling thread has had.
int64_t clinux_thread_used(void);
/// Fills 32 bytes from getrandom, blocking until the kernel has its seed.
int clinux_random(uint64_t words[4]);

// epoll

typedef struct {
  uint64_t token;
  uint32_t events;
} clinux_event;

enum {
  CLINUX_READABLE = 1,
  CLINUX_WRITABLE = 2,
  CLINUX_FAILED = 4,
  CLINUX_HUNG_UP = 8,
};

int clinux_epoll_create(void);
int clinux_epoll_add(int epoll, int fd, uint32_t interest, uint64_t token);
int clinux_epoll_change(int epoll, int fd, uint32_t interest, uint64_t token);
int clinux_epoll_remove(int epoll, int fd);
/// Waits at most `nanoseconds` (negative: for ever). Returns the number of events; EINTR counts as none.
int clinux_epoll_wait(int epoll, clinux_event *events, int limit, int64_t nanoseconds);

// Signals

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and gives a descriptor that reads them. Ignores SIGPIPE.
int clinux_signals_open(void);
/// The next signal's number, 0 when there is none.
int clinux_signals_next(int fd);
void clinux_ignore_sigpipe(void);
/// Blocks every signal in the calling thread: for workers.
void clinux_block_signals(void);

// Datagrams

/// Binds a datagram socket with packet information, receive coalescing and drop counts switched on.
int clinux_udp_open(clinux_endpoint local, int receive_buffer, int send_buffer, int dscp, int *segmentation);
int clinux_local(int fd, clinux_endpoint *local);
/// The addresses of the interfaces that are up, loopback last. Returns how many were written, at most `limit`.
int clinux_host_addresses(clinux_endpoint *addresses, int limit);

typedef struct {
  const uint8_t *bytes;
  uint32_t length;
  /// Length of each coalesced datagram but the last; 0 when the read is one datagram.
  uint32_t segment;
  clinux_endpoint from;
  clinux_endpoint to;
  /// The kernel's count of datagrams it dropped on this socket so far, modulo 2^32.
  uint32_t dropped;
  /// The datagram was longer than the slot and was cut.
  uint32_t truncated;
} clinux_received;

typedef struct clinux_receiver clinux_receiver;
clinux_receiver *clinux_receiver_make(int slots, size_t slot_size);
void clinux_receiver_free(clinux_receiver *receiver);
/// Reads a batch; the number of reads or -errno.
int clinux_receiver_read(clinux_receiver *receiver, int fd);
clinux_received clinux_receiver_at(const clinux_receiver *receiver, int index);

typedef struct clinux_sender clinux_sender;
clinux_sender *clinux_sender_make(int messages, int pieces);
void clinux_sender_free(clinux_sender *sender);
void clinux_sender_clear(clinux_sender *sender);
/// Begins a message. `segment` above 0 asks the kernel to cut it into datagrams of that length.
void clinux_sender_begin(clinux_sender *sender, clinux_endpoint to, int has_source, clinux_endpoint source,
                         uint16_t segment);
/// Adds bytes to the message begun last. They must stay where they are until `clinux_sender_go`.
void clinux_sender_add(clinux_sender *sender, const uint8_t *bytes, size_t length);
/// Sends from message `first` on; the number of messages that left or -errno of the first that did not.
int clinux_sender_go(clinux_sender *sender, int fd, int first);

// Streams

int clinux_tcp_listen(clinux_endpoint local);
/// Starts a connection; the descriptor, or -errno. `*pending` tells whether it still goes on.
int clinux_tcp_connect(clinux_endpoint remote, int *pending);
/// The error a connection attempt or a stream ended with, 0 for none.
int clinux_socket_error(int fd);
int clinux_accept(int listener, clinux_endpoint *remote);
/// Bytes read, 0 at the end, or -errno.
int64_t clinux_read(int fd, uint8_t *bytes, size_t length);
int64_t clinux_write(int fd, const uint8_t *bytes, size_t length);
int clinux_shutdown_write(int fd);

// Local (path) sockets

/// Listens at `path` with `mode` and, when `group` names one, that group. A live listener there is EADDRINUSE.
int clinux_unix_listen(const char *path, uint32_t mode, const char *group);
int clinux_unix_connect(const char *path);
int clinux_unlink(const char *path);
/// The number of a group, or -1.
int64_t clinux_group(const char *name);
/// Who is at the other end; `in_group` tells whether one of its groups is `group` (-1: none).
int clinux_peer(int fd, int64_t group, int32_t *process, uint32_t *user, int *in_group);
/// The name of a user; 0 or -errno.
int clinux_user_name(uint32_t user, char *name, size_t size);
uint32_t clinux_effective_user(void);
/// One datagram to a path (an abstract one when it begins with '@'); 0 or -errno. Never blocks.
int clinux_unix_send(const char *path, const uint8_t *bytes, size_t length);

// Names

/// Addresses of a host in the resolver's order of preference; their number or a negative number.
int clinux_addresses(const char *host, clinux_endpoint *found, int limit);
/// Asks for SRV records by res_nsearch; the length of the answer message or -1.
int clinux_service_answer(const char *name, uint8_t *answer, int size);

// Files

/// Reads a whole file of at most `size` bytes; the length or -errno.
int64_t clinux_read_file(const char *path, uint8_t *bytes, size_t size);
/// Writes all bytes to standard error.
void clinux_write_standard_error(const uint8_t *bytes, size_t length);
/// The value of an environment variable; 0 when unset or longer than `size`.
int clinux_environment(const char *name, char *value, size_t size);

// Threads

typedef struct clinux_mutex clinux_mutex;
clinux_mutex *clinux_mutex_make(void);
void clinux_mutex_free(clinux_mutex *mutex);
void clinux_mutex_lock(clinux_mutex *mutex);
void clinux_mutex_unlock(clinux_mutex *mutex);
/// Starts a thread named `name`; 0 or -errno. The handle is for `clinux_thread_join` or `_detach`.
int clinux_thread_start(const char *name, void (*body)(void *), void *context, uint64_t *handle);
int clinux_thread_join(uint64_t handle);
int clinux_thread_detach(uint64_t handle);

// GPIO character device, ABI v2

typedef struct {
  char name[32];
  char label[32];
  uint32_t lines;
} clinux_gpio_chip;

typedef struct {
  char name[32];
  char consumer[32];
  int used;
} clinux_gpio_line;

int clinux_gpio_open(const char *path);
int clinux_gpio_chip_info(int chip, clinux_gpio_chip *info);
int clinux_gpio_line_info(int chip, uint32_t offset, clinux_gpio_line *info);
/// Requests one line as an output, inactive at once; a descriptor or -errno.
int clinux_gpio_request_output(int chip, uint32_t offset, int active_low, const char *consumer);
int clinux_gpio_set(int line, int active);
int clinux_gpio_get(int line);
/// Names of the chips in /dev, one per call: `gpiochip0`… in order of number; 0, or -1 after the last.
int clinux_gpio_chip_path(int index, char *path, size_t size);

// Errors

/// The kernel's words for an error.
void clinux_error_text(int code, char *text, size_t size);
