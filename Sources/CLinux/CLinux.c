#define _GNU_SOURCE
#include "CLinux.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/gpio.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <resolv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static int result(int value) { return value < 0 ? -errno : value; }

// MARK: Addresses

static uint64_t word(const uint8_t *bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | bytes[i];
  return value;
}

static void spell(uint64_t value, uint8_t *bytes) {
  for (int i = 7; i >= 0; i--, value >>= 8) bytes[i] = (uint8_t)value;
}

static int is_v4(clinux_endpoint e) { return e.high == 0 && e.low >> 32 == 0xFFFF; }

static clinux_endpoint v4_endpoint(struct in_addr address, uint16_t port) {
  clinux_endpoint e = {0, 0xFFFF00000000u | ntohl(address.s_addr), 0, port};
  return e;
}

static clinux_endpoint v6_endpoint(const struct in6_addr *address, uint16_t port, uint32_t scope) {
  clinux_endpoint e = {word(address->s6_addr), word(address->s6_addr + 8), scope, port};
  return e;
}

static socklen_t to_sockaddr(clinux_endpoint e, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (is_v4(e)) {
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = AF_INET;
    in->sin_port = htons(e.port);
    in->sin_addr.s_addr = htonl((uint32_t)e.low);
    return sizeof *in;
  }
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(e.port);
  spell(e.high, in6->sin6_addr.s6_addr);
  spell(e.low, in6->sin6_addr.s6_addr + 8);
  in6->sin6_scope_id = e.scope;
  return sizeof *in6;
}

static clinux_endpoint from_sockaddr(const struct sockaddr_storage *in) {
  if (in->ss_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)in;
    return v4_endpoint(v4->sin_addr, ntohs(v4->sin_port));
  }
  if (in->ss_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)in;
    return v6_endpoint(&v6->sin6_addr, ntohs(v6->sin6_port), v6->sin6_scope_id);
  }
  clinux_endpoint none = {0, 0, 0, 0};
  return none;
}

// MARK: Descriptors

int clinux_close(int fd) { return result(close(fd)); }
int clinux_open_reserve(void) { return result(open("/dev/null", O_RDONLY | O_CLOEXEC)); }
int clinux_eventfd(int blocking) { return result(eventfd(0, EFD_CLOEXEC | (blocking ? 0 : EFD_NONBLOCK))); }

int clinux_eventfd_signal(int fd) {
  uint64_t one = 1;
  return write(fd, &one, sizeof one) == sizeof one ? 0 : -errno;
}

int clinux_eventfd_take(int fd) {
  uint64_t count = 0;
  ssize_t got;
  do got = read(fd, &count, sizeof count);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : 0;
}

int clinux_wait_readable(int one, int other, int64_t nanoseconds) {
  struct pollfd watched[2] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};
  struct timespec left = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  if (ppoll(watched, 2, nanoseconds < 0 ? NULL : &left, NULL) <= 0) return 0;
  return (watched[0].revents != 0) | (watched[1].revents != 0) << 1;
}

// MARK: Clocks and chance

static int64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// CLOCK_BOOTTIME is not used: a gateway does not sleep, and deadlines of epoll run on CLOCK_MONOTONIC.
int64_t clinux_monotonic(void) { return clock_ns(CLOCK_MONOTONIC); }
int64_t clinux_wall(void) { return clock_ns(CLOCK_REALTIME); }
int64_t clinux_thread_used(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int clinux_random(uint64_t words[4]) {
  uint8_t *bytes = (uint8_t *)words;
  size_t have = 0;
  while (have < 32) {
    ssize_t got = getrandom(bytes + have, 32 - have, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -errno;
    have += (size_t)got;
  }
  return 0;
}

// MARK: epoll

static uint32_t to_epoll(uint32_t interest) {
  return (interest & CLINUX_READABLE ? EPOLLIN : 0) | (interest & CLINUX_WRITABLE ? EPOLLOUT : 0);
}

int clinux_epoll_create(void) { return result(epoll_create1(EPOLL_CLOEXEC)); }

static int control(int epoll, int operation, int fd, uint32_t interest, uint64_t token) {
  struct epoll_event event = {.events = to_epoll(interest), .data.u64 = token};
  return result(epoll_ctl(epoll, operation, fd, &event));
}

int clinux_epoll_add(int epoll, int fd, uint32_t interest, uint64_t token) {
  return control(epoll, EPOLL_CTL_ADD, fd, interest, token);
}
int clinux_epoll_change(int epoll, int fd, uint32_t interest, uint64_t token) {
  return control(epoll, EPOLL_CTL_MOD, fd, interest, token);
}
int clinux_epoll_remove(int epoll, int fd) { return control(epoll, EPOLL_CTL_DEL, fd, 0, 0); }

int clinux_epoll_wait(int epoll, clinux_event *events, int limit, int64_t nanoseconds) {
  struct epoll_event raw[64];
  if (limit > 64) limit = 64;
  struct timespec wait = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  int count = epoll_pwait2(epoll, raw, limit, nanoseconds < 0 ? NULL : &wait, NULL);
  if (count < 0 && (errno == ENOSYS || errno == EPERM)) {
    // Before Linux 5.11, or under a filter that does not know the call: whole milliseconds, rounded up so that
    // a deadline is never asked for early.
    int64_t milliseconds = nanoseconds < 0 ? -1 : (nanoseconds + 999999) / 1000000;
    count = epoll_wait(epoll, raw, limit, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
  }
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    uint32_t e = raw[i].events;
    events[i].token = raw[i].data.u64;
    events[i].events = (e & EPOLLIN ? CLINUX_READABLE : 0) | (e & EPOLLOUT ? CLINUX_WRITABLE : 0) |
                       (e & EPOLLERR ? CLINUX_FAILED : 0) | (e & EPOLLHUP ? CLINUX_HUNG_UP : 0);
  }
  return count;
}

// MARK: Signals

static void wanted_signals(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGTERM);
  sigaddset(set, SIGINT);
  sigaddset(set, SIGHUP);
}

void clinux_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }

int clinux_signals_open(void) {
  sigset_t set;
  wanted_signals(&set);
  clinux_ignore_sigpipe();
  int failure = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (failure) return -failure;
  return result(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

int clinux_signals_next(int fd) {
  struct signalfd_siginfo info;
  return read(fd, &info, sizeof info) == sizeof info ? (int)info.ssi_signo : 0;
}

void clinux_block_signals(void) {
  sigset_t set;
  sigfillset(&set);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
}

// MARK: Datagrams

int clinux_udp_open(clinux_endpoint local, int receive_buffer, int send_buffer, int dscp, int *segmentation) {
  int v4 = is_v4(local), one = 1, zero = 0;
  int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct sockaddr_storage address;
  socklen_t size = to_sockaddr(local, &address);
  int tos = dscp << 2;
  if (v4) {
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof one);
    if (tos) setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
  } else {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
    if (tos) setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
  }
  setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
  setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof one);
  *segmentation = setsockopt(fd, SOL_UDP, UDP_SEGMENT, &zero, sizeof zero) == 0;
  if (receive_buffer > 0 &&
      setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (send_buffer > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer) < 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
  if (bind(fd, (struct sockaddr *)&address, size) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

int clinux_local(int fd, clinux_endpoint *local) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) return -errno;
  *local = from_sockaddr(&address);
  return 0;
}

enum { RECEIVE_CONTROL = 128, SEND_CONTROL = 96 };

struct clinux_receiver {
  int slots;
  size_t slot_size;
  uint8_t *bytes;
  struct mmsghdr *headers;
  struct iovec *pieces;
  struct sockaddr_storage *names;
  // Aligned for struct cmsghdr by its element type.
  union {
    char bytes[RECEIVE_CONTROL];
    struct cmsghdr align;
  } *control;
};

clinux_receiver *clinux_receiver_make(int slots, size_t slot_size) {
  clinux_receiver *r = calloc(1, sizeof *r);
  if (!r) abort();
  r->slots = slots;
  r->slot_size = slot_size;
  // Untouched pages of a slot cost nothing: malloc maps a block of this size fresh.
  r->bytes = malloc((size_t)slots * slot_size);
  r->headers = calloc((size_t)slots, sizeof *r->headers);
  r->pieces = calloc((size_t)slots, sizeof *r->pieces);
  r->names = calloc((size_t)slots, sizeof *r->names);
  r->control = calloc((size_t)slots, sizeof *r->control);
  if (!r->bytes || !r->headers || !r->pieces || !r->names || !r->control) abort();
  return r;
}

void clinux_receiver_free(clinux_receiver *r) {
  free(r->bytes);
  free(r->headers);
  free(r->pieces);
  free(r->names);
  free(r->control);
  free(r);
}

int clinux_receiver_read(clinux_receiver *r, int fd) {
  for (int i = 0; i < r->slots; i++) {
    r->pieces[i] = (struct iovec){r->bytes + (size_t)i * r->slot_size, r->slot_size};
    r->headers[i].msg_hdr = (struct msghdr){
        .msg_name = &r->names[i],
        .msg_namelen = sizeof r->names[i],
        .msg_iov = &r->pieces[i],
        .msg_iovlen = 1,
        .msg_control = &r->control[i],
        .msg_controllen = sizeof r->control[i],
    };
  }
  return result(recvmmsg(fd, r->headers, (unsigned)r->slots, MSG_DONTWAIT, NULL));
}

clinux_received clinux_receiver_at(const clinux_receiver *r, int i) {
  struct msghdr *header = &r->headers[i].msg_hdr;
  clinux_received got = {0};
  got.bytes = r->bytes + (size_t)i * r->slot_size;
  got.length = r->headers[i].msg_len;
  got.truncated = (header->msg_flags & MSG_TRUNC) != 0;
  got.from = from_sockaddr(&r->names[i]);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      // The local address that an answer may carry: for a broadcast, not the one in the header.
      got.to = v4_endpoint(info.ipi_spec_dst, 0);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      got.to = v6_endpoint(&info.ipi6_addr, 0, info.ipi6_ifindex);
    } else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int segment;
      memcpy(&segment, CMSG_DATA(c), sizeof segment);
      if (segment > 0) got.segment = (uint32_t)segment;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
      memcpy(&got.dropped, CMSG_DATA(c), sizeof got.dropped);
    }
  }
  return got;
}

struct clinux_sender {
  int message_limit, piece_limit, messages, pieces;
  struct mmsghdr *headers;
  struct iovec *iovecs;
  struct sockaddr_storage *names;
  union {
    char bytes[SEND_CONTROL];
    struct cmsghdr align;
  } *control;
};

clinux_sender *clinux_sender_make(int messages, int pieces) {
  clinux_sender *s = calloc(1, sizeof *s);
  if (!s) abort();
  s->message_limit = messages;
  s->piece_limit = pieces;
  s->headers = calloc((size_t)messages, sizeof *s->headers);
  s->iovecs = calloc((size_t)pieces, sizeof *s->iovecs);
  s->names = calloc((size_t)messages, sizeof *s->names);
  s->control = calloc((size_t)messages, sizeof *s->control);
  if (!s->headers || !s->iovecs || !s->names || !s->control) abort();
  return s;
}

void clinux_sender_free(clinux_sender *s) {
  free(s->headers);
  free(s->iovecs);
  free(s->names);
  free(s->control);
  free(s);
}

void clinux_sender_clear(clinux_sender *s) { s->messages = s->pieces = 0; }

void clinux_sender_begin(clinux_sender *s, clinux_endpoint to, int has_source, clinux_endpoint source,
                         uint16_t segment) {
  if (s->messages >= s->message_limit) abort();
  int i = s->messages++;
  struct msghdr *header = &s->headers[i].msg_hdr;
  memset(header, 0, sizeof *header);
  header->msg_name = &s->names[i];
  header->msg_namelen = to_sockaddr(to, &s->names[i]);
  header->msg_iov = &s->iovecs[s->pieces];
  size_t used = 0;
  char *control = s->control[i].bytes;
  memset(control, 0, SEND_CONTROL);
  if (has_source && is_v4(to)) {
    struct cmsghdr *c = (struct cmsghdr *)(control + used);
    struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl((uint32_t)source.low)};
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    used += CMSG_SPACE(sizeof info);
  } else if (has_source) {
    struct cmsghdr *c = (struct cmsghdr *)(control + used);
    struct in6_pktinfo info = {.ipi6_ifindex = 0};
    spell(source.high, info.ipi6_addr.s6_addr);
    spell(source.low, info.ipi6_addr.s6_addr + 8);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof info), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO};
    memcpy(CMSG_DATA(c), &info, sizeof info);
    used += CMSG_SPACE(sizeof info);
  }
  if (segment) {
    struct cmsghdr *c = (struct cmsghdr *)(control + used);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof segment), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
    used += CMSG_SPACE(sizeof segment);
  }
  if (used) {
    header->msg_control = control;
    header->msg_controllen = used;
  }
}

void clinux_sender_add(clinux_sender *s, const uint8_t *bytes, size_t length) {
  if (s->pieces >= s->piece_limit || s->messages == 0) abort();
  s->iovecs[s->pieces++] = (struct iovec){(void *)bytes, length};
  s->headers[s->messages - 1].msg_hdr.msg_iovlen++;
}

int clinux_sender_go(clinux_sender *s, int fd, int first) {
  int sent;
  do sent = sendmmsg(fd, s->headers + first, (unsigned)(s->messages - first), MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return result(sent);
}

// MARK: Streams

int clinux_tcp_listen(clinux_endpoint local) {
  int v4 = is_v4(local), one = 1;
  int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct sockaddr_storage address;
  socklen_t size = to_sockaddr(local, &address);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (!v4) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 512) < 0) {
    int failure = errno;
    close(fd);
    return -failure;
  }
  return fd;
}

// Signalling and pages are small and awaited: never hold a short segment back. A peer that lost its power is
// noticed after two minutes, whether the stream was idle or something that we sent was not confirmed: left alone, the
// kernel would send that again for a quarter of an hour, while a page that is gone counts as one that rings.
static void tune(int fd) {
  int one = 1, idle = 60, interval = 15, probes = 4;
  unsigned int unconfirmed = 120000;
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unconfirmed, sizeof unconfirmed);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

int clinux_tcp_connect(clinux_endpoint remote, int *pending) {
  int fd = socket(is_v4(remote) ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct sockaddr_storage address;
  socklen_t size = to_sockaddr(remote, &address);
  tune(fd);
  *pending = 0;
  if (connect(fd, (struct sockaddr *)&address, size) < 0) {
    int failure = errno;
    if (failure != EINPROGRESS && failure != EINTR) {
      close(fd);
      return -failure;
    }
    *pending = 1;
  }
  return fd;
}

int clinux_socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
  return error;
}

int clinux_accept(int listener, clinux_endpoint *remote) {
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  memset(&address, 0, sizeof address);
  int fd;
  do fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  *remote = from_sockaddr(&address);
  if (address.ss_family == AF_INET || address.ss_family == AF_INET6) tune(fd);
  return fd;
}

int64_t clinux_read(int fd, uint8_t *bytes, size_t length) {
  ssize_t got;
  do got = recv(fd, bytes, length, MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  return got < 0 ? -errno : got;
}

int64_t clinux_write(int fd, const uint8_t *bytes, size_t length) {
  ssize_t sent;
  do sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
}

int clinux_shutdown_write(int fd) { return result(shutdown(fd, SHUT_WR)); }

// MARK: Local sockets

static int to_unix(const char *path, struct sockaddr_un *address, socklen_t *size) {
  size_t length = strlen(path);
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  if (length == 0 || length >= sizeof address->sun_path) return -ENAMETOOLONG;
  memcpy(address->sun_path, path, length);
  *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '@' ? 0 : 1));
  if (path[0] == '@') address->sun_path[0] = 0;
  return 0;
}

int clinux_unix_connect(const char *path) {
  struct sockaddr_un address;
  socklen_t size;
  int failure = to_unix(path, &address, &size);
  if (failure) return failure;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  if (connect(fd, (struct sockaddr *)&address, size) < 0) {
    failure = -errno;
    close(fd);
    return failure;
  }
  return fd;
}

int64_t clinux_group(const char *name) {
  char buffer[4096];
  struct group entry, *found = NULL;
  if (getgrnam_r(name, &entry, buffer, sizeof buffer, &found) != 0 || !found) return -1;
  return entry.gr_gid;
}

int clinux_unix_listen(const char *path, uint32_t mode, const char *group) {
  // Bound beside its place and moved there once mode and group are right: nobody finds it half open, and a
  // socket file that a killed process left behind is replaced in one step.
  char beside[sizeof((struct sockaddr_un *)0)->sun_path];
  if (snprintf(beside, sizeof beside, "%s~", path) >= (int)sizeof beside) return -ENAMETOOLONG;
  struct stat status;
  if (lstat(path, &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return -EEXIST;
    int probe = clinux_unix_connect(path);
    if (probe >= 0 || probe == -EAGAIN) {
      if (probe >= 0) close(probe);
      return -EADDRINUSE;
    }
  }
  struct sockaddr_un address;
  socklen_t size;
  int failure = to_unix(beside, &address, &size);
  if (failure) return failure;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  unlink(beside);
  int64_t number = group ? clinux_group(group) : -1;
  // Connecting needs a listener: until `listen` every early guest is refused.
  if (bind(fd, (struct sockaddr *)&address, size) < 0) goto failed;
  if (number >= 0 && chown(beside, (uid_t)-1, (gid_t)number) < 0 && errno != EPERM) goto failed;
  if (chmod(beside, mode) < 0 || listen(fd, 64) < 0 || rename(beside, path) < 0) goto failed;
  return fd;
failed:
  failure = -errno;
  close(fd);
  unlink(beside);
  return failure;
}

int clinux_unlink(const char *path) { return result(unlink(path)); }

int clinux_peer(int fd, int64_t group, int32_t *process, uint32_t *user, int *in_group) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0) return -errno;
  *process = credentials.pid;
  *user = credentials.uid;
  *in_group = group >= 0 && credentials.gid == (gid_t)group;
  gid_t groups[256];
  size = sizeof groups;
  if (group >= 0 && !*in_group && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
    for (size_t i = 0; i < size / sizeof groups[0]; i++)
      if (groups[i] == (gid_t)group) *in_group = 1;
  return 0;
}

int clinux_user_name(uint32_t user, char *name, size_t size) {
  char buffer[4096];
  struct passwd entry, *found = NULL;
  int failure = getpwuid_r(user, &entry, buffer, sizeof buffer, &found);
  if (failure) return -failure;
  if (!found || strlen(entry.pw_name) >= size) return -ENOENT;
  strcpy(name, entry.pw_name);
  return 0;
}

uint32_t clinux_effective_user(void) { return geteuid(); }

int clinux_unix_send(const char *path, const uint8_t *bytes, size_t length) {
  struct sockaddr_un address;
  socklen_t size;
  int failure = to_unix(path, &address, &size);
  if (failure) return failure;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  ssize_t sent = sendto(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  failure = sent < 0 ? -errno : 0;
  close(fd);
  return failure;
}

// MARK: Names

int clinux_addresses(const char *host, clinux_endpoint *found, int limit) {
  // A host without IPv6 should not be told to try it (AI_ADDRCONFIG); one socket type, else each comes thrice.
  struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
  int failure = getaddrinfo(host, NULL, &hints, &list);
  if (failure) return -1;
  int count = 0;
  for (struct addrinfo *a = list; a && count < limit; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    memcpy(&address, a->ai_addr, a->ai_addrlen);
    found[count++] = from_sockaddr(&address);
  }
  freeaddrinfo(list);
  return count;
}

int clinux_service_answer(const char *name, uint8_t *answer, int size) {
  struct __res_state *state = calloc(1, sizeof *state);
  if (!state) return -1;
  int length = -1;
  if (res_ninit(state) == 0) {
    state->retrans = 2;
    state->retry = 2;
    length = res_nsearch(state, name, ns_c_in, ns_t_srv, answer, size);
    res_nclose(state);
  }
  free(state);
  return length > size ? -1 : length;
}

// MARK: Files

int64_t clinux_read_file(const char *path, uint8_t *bytes, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return -errno;
  size_t have = 0;
  int64_t outcome = 0;
  while (have < size) {
    ssize_t got = read(fd, bytes + have, size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) outcome = -errno;
    if (got <= 0) break;
    have += (size_t)got;
  }
  close(fd);
  return outcome < 0 ? outcome : (int64_t)have;
}

void clinux_write_standard_error(const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t sent = write(STDERR_FILENO, bytes, length);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    bytes += sent;
    length -= (size_t)sent;
  }
}

int clinux_environment(const char *name, char *value, size_t size) {
  const char *found = getenv(name);
  if (!found || strlen(found) >= size) return 0;
  strcpy(value, found);
  return 1;
}

// MARK: Threads

struct clinux_mutex {
  pthread_mutex_t mutex;
};

clinux_mutex *clinux_mutex_make(void) {
  clinux_mutex *m = malloc(sizeof *m);
  if (!m || pthread_mutex_init(&m->mutex, NULL) != 0) abort();
  return m;
}
void clinux_mutex_free(clinux_mutex *m) {
  pthread_mutex_destroy(&m->mutex);
  free(m);
}
void clinux_mutex_lock(clinux_mutex *m) {
  if (pthread_mutex_lock(&m->mutex) != 0) abort();
}
void clinux_mutex_unlock(clinux_mutex *m) {
  if (pthread_mutex_unlock(&m->mutex) != 0) abort();
}

struct start {
  void (*body)(void *);
  void *context;
};

static void *begin(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  start.body(start.context);
  return NULL;
}

int clinux_thread_start(const char *name, void (*body)(void *), void *context, uint64_t *handle) {
  struct start *start = malloc(sizeof *start);
  if (!start) return -ENOMEM;
  *start = (struct start){body, context};
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, begin, start);
  if (failure) {
    free(start);
    return -failure;
  }
  pthread_setname_np(thread, name);
  *handle = (uint64_t)thread;
  return 0;
}

int clinux_thread_join(uint64_t handle) { return -pthread_join((pthread_t)handle, NULL); }
int clinux_thread_detach(uint64_t handle) { return -pthread_detach((pthread_t)handle); }

// MARK: GPIO

int clinux_gpio_open(const char *path) { return result(open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK)); }

int clinux_gpio_chip_info(int chip, clinux_gpio_chip *info) {
  struct gpiochip_info raw;
  memset(&raw, 0, sizeof raw);
  if (ioctl(chip, GPIO_GET_CHIPINFO_IOCTL, &raw) < 0) return -errno;
  memset(info, 0, sizeof *info);
  memcpy(info->name, raw.name, sizeof info->name - 1);
  memcpy(info->label, raw.label, sizeof info->label - 1);
  info->lines = raw.lines;
  return 0;
}

int clinux_gpio_line_info(int chip, uint32_t offset, clinux_gpio_line *info) {
  struct gpio_v2_line_info raw;
  memset(&raw, 0, sizeof raw);
  raw.offset = offset;
  if (ioctl(chip, GPIO_V2_GET_LINEINFO_IOCTL, &raw) < 0) return -errno;
  memset(info, 0, sizeof *info);
  memcpy(info->name, raw.name, sizeof info->name - 1);
  memcpy(info->consumer, raw.consumer, sizeof info->consumer - 1);
  info->used = (raw.flags & GPIO_V2_LINE_FLAG_USED) != 0;
  return 0;
}

int clinux_gpio_request_output(int chip, uint32_t offset, int active_low, const char *consumer) {
  struct gpio_v2_line_request request;
  memset(&request, 0, sizeof request);
  request.offsets[0] = offset;
  request.num_lines = 1;
  strncpy(request.consumer, consumer, sizeof request.consumer - 1);
  request.config.flags = GPIO_V2_LINE_FLAG_OUTPUT | (active_low ? GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0);
  // The value given with the request is set before the line becomes an output: it never twitches.
  request.config.num_attrs = 1;
  request.config.attrs[0].mask = 1;
  request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
  request.config.attrs[0].attr.values = 0;
  if (ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &request) < 0) return -errno;
  return request.fd;
}

int clinux_gpio_set(int line, int active) {
  struct gpio_v2_line_values values = {.bits = active ? 1 : 0, .mask = 1};
  return result(ioctl(line, GPIO_V2_LINE_SET_VALUES_IOCTL, &values));
}

int clinux_gpio_get(int line) {
  struct gpio_v2_line_values values = {.bits = 0, .mask = 1};
  if (ioctl(line, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0) return -errno;
  return (int)(values.bits & 1);
}

static int compare_numbers(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int clinux_gpio_chip_path(int index, char *path, size_t size) {
  int numbers[256], count = 0, number;
  DIR *directory = opendir("/dev");
  if (!directory) return -1;
  struct dirent *entry;
  while (count < 256 && (entry = readdir(directory)))
    if (sscanf(entry->d_name, "gpiochip%d", &number) == 1) numbers[count++] = number;
  closedir(directory);
  qsort(numbers, (size_t)count, sizeof numbers[0], compare_numbers);
  if (index >= count) return -1;
  snprintf(path, size, "/dev/gpiochip%d", numbers[index]);
  return 0;
}

// MARK: Errors

void clinux_error_text(int code, char *text, size_t size) {
  const char *words = strerror_r(code, text, size);
  if (words != text) snprintf(text, size, "%s", words);
}

int clinux_host_addresses(clinux_endpoint *addresses, int limit) {
  struct ifaddrs *list;
  if (getifaddrs(&list) != 0) return 0;
  int count = 0;
  for (int loopback = 0; loopback < 2; loopback++) {
    for (struct ifaddrs *one = list; one && count < limit; one = one->ifa_next) {
      if (!one->ifa_addr || !(one->ifa_flags & IFF_UP)) continue;
      if (!!(one->ifa_flags & IFF_LOOPBACK) != loopback) continue;
      if (one->ifa_addr->sa_family == AF_INET) {
        addresses[count++] = v4_endpoint(((struct sockaddr_in *)one->ifa_addr)->sin_addr, 0);
      } else if (one->ifa_addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)one->ifa_addr;
        if (!IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) addresses[count++] = v6_endpoint(&v6->sin6_addr, 0, 0);
      }
    }
  }
  freeifaddrs(list);
  return count;
}
