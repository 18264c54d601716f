#define _GNU_SOURCE
#include "CShims.h"
#include "retry.h"

int fdp_socket(int domain, int type) {
  int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  return fd < 0 ? -errno : fd;
}

int fdp_socketpair(int domain, int type, int fds[2]) {
  return socketpair(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

int fdp_bind(int fd, const void *address, socklen_t length) {
  return bind(fd, address, length) < 0 ? -errno : 0;
}

int fdp_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }

int fdp_accept(int fd, void *address, socklen_t *length) {
  int accepted = RETRYING(accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  return accepted < 0 ? -errno : accepted;
}

int fdp_connect(int fd, const void *address, socklen_t length) {
  if (connect(fd, address, length) == 0) return 0;
  return errno == EINTR ? -EINPROGRESS : -errno;
}

ssize_t fdp_receive(int fd, void *bytes, size_t count, int flags) {
  ssize_t received = RETRYING(recv(fd, bytes, count, flags));
  return received < 0 ? -errno : received;
}

ssize_t fdp_send(int fd, const void *bytes, size_t count, int flags) {
  ssize_t sent = RETRYING(send(fd, bytes, count, flags | MSG_NOSIGNAL));
  return sent < 0 ? -errno : sent;
}

int fdp_shutdown(int fd, int how) { return shutdown(fd, how) < 0 ? -errno : 0; }

int fdp_end_connection(int fd) {
  struct linger linger;
  socklen_t length = sizeof linger;
  if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) < 0) return -errno;
  // Dissolving the association resets a TCP connection (tcp(7), connect(2)).
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  bool is_abortive = linger.l_onoff && linger.l_linger == 0;
  if (is_abortive && connect(fd, &nobody, sizeof nobody) == 0) return 0;
  return shutdown(fd, SHUT_RDWR) < 0 ? -errno : 0;
}

int fdp_set_option(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

int fdp_get_option(int fd, int level, int name, int *value) {
  socklen_t length = sizeof *value;
  return getsockopt(fd, level, name, value, &length) < 0 ? -errno : 0;
}

int fdp_set_linger(int fd, bool enabled, int seconds) {
  struct linger linger = {.l_onoff = enabled, .l_linger = seconds};
  return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0 ? -errno : 0;
}

int fdp_local_address(int fd, void *address, socklen_t *length) {
  return getsockname(fd, address, length) < 0 ? -errno : 0;
}

int fdp_peer_address(int fd, void *address, socklen_t *length) {
  return getpeername(fd, address, length) < 0 ? -errno : 0;
}
