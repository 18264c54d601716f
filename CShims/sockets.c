#define _GNU_SOURCE
#include "CShims.h"
#include "retry.h"
#include "system_call.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>

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
  ssize_t accepted = RETRYING(call_accept(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  return accepted < 0 ? -errno : (int)accepted;
}

int fdp_connect(int fd, const void *address, socklen_t length) {
  if (connect(fd, address, length) == 0) return 0;
  return errno == EINTR ? -EINPROGRESS : -errno;
}

ssize_t fdp_receive(int fd, void *bytes, size_t count, int flags) {
  ssize_t received = RETRYING(call_receive(fd, bytes, count, flags));
  return received < 0 ? -errno : received;
}

ssize_t fdp_send(int fd, const void *bytes, size_t count, int flags) {
  ssize_t sent = RETRYING(call_send(fd, bytes, count, flags | MSG_NOSIGNAL));
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

int fdp_peer_credentials(int fd, int *process, unsigned *user) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -errno;
  *process = credentials.pid;
  *user = credentials.uid;
  return 0;
}

// Aligned as the kernel's header of a control message.
union control {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(FDP_DESCRIPTORS * sizeof(int))];
};

ssize_t fdp_send_descriptors(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count) {
  if (descriptor_count > FDP_DESCRIPTORS) return -EINVAL;
  union control control = {0};
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptor_count > 0) {
    size_t size = descriptor_count * sizeof(int);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&control.header), descriptors, size);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(size);
  }
  ssize_t sent = RETRYING(sendmsg(socket, &message, MSG_NOSIGNAL));
  return sent < 0 ? -errno : sent;
}

ssize_t fdp_receive_descriptors(
    int socket, void *bytes, size_t count, int *descriptors, size_t *descriptor_count) {
  union control control;
  struct iovec part = {.iov_base = bytes, .iov_len = count};
  struct msghdr message = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = sizeof control};
  *descriptor_count = 0;
  ssize_t received = RETRYING(recvmsg(socket, &message, MSG_CMSG_CLOEXEC));
  if (received < 0) return -errno;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t size = header->cmsg_len - CMSG_LEN(0);
    memcpy(descriptors + *descriptor_count, CMSG_DATA(header), size);
    *descriptor_count += size / sizeof(int);
  }
  if (!(message.msg_flags & (MSG_CTRUNC | MSG_TRUNC))) return received;
  for (size_t index = 0; index < *descriptor_count; index++) close(descriptors[index]);
  *descriptor_count = 0;
  return -EMSGSIZE;
}

int fdp_set_mode(int fd, unsigned mode) { return fchmod(fd, mode) < 0 ? -errno : 0; }

int fdp_tcp_look(int fd, struct fdp_tcp_facts *facts) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  memset(&info, 0, sizeof info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -errno;
  facts->state = info.tcpi_state;
  facts->received_ago = info.tcpi_last_data_recv;
  facts->sent_ago = info.tcpi_last_data_sent;
  return 0;
}
