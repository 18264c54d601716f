// The least that a TCP proxy can cost with epoll: edge-triggered, one connection to the server
// behind for each client, on the client's thread. It ends a pair as soon as one side ends, or does
// not take what it is sent.

#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_size = 16384, most_events = 256, most_descriptors = 65536 };

static int port, backend_port;
/// The other side of each connection. 0 is none: that is the standard input's number.
static int peers[most_descriptors];

static void add(int poller, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) bench_fail("epoll_ctl");
}

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons(backend_port),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  if (fd < most_descriptors
      && (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EINPROGRESS)) {
    return fd;
  }
  close(fd);
  return -1;
}

static void accept_all(int listener, int poller) {
  int client;
  while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int server = client < most_descriptors ? dial() : -1;
    if (server < 0) {
      close(client);
      continue;
    }
    peers[client] = server;
    peers[server] = client;
    add(poller, client, EPOLLIN | EPOLLRDHUP | EPOLLET);
    add(poller, server, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

/// Descriptors of pairs that have ended. They are closed after the events that are at hand, some of
/// which may be theirs: another thread could have the numbers again by then.
struct ended {
  int descriptors[2 * most_events];
  int count;
};

static void end(int fd, struct ended *ended) {
  int peer = peers[fd];
  peers[fd] = peers[peer] = 0;
  ended->descriptors[ended->count++] = peer;
  ended->descriptors[ended->count++] = fd;
}

/// Returns whether the pair goes on.
static bool relay(int fd, char *buffer, bool has_ended) {
  while (true) {
    ssize_t count = recv(fd, buffer, buffer_size, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN && !has_ended;
    if (send(peers[fd], buffer, count, MSG_NOSIGNAL) != count) return false;
    if (count < buffer_size) return !has_ended;
  }
}

static void work(void) {
  static _Thread_local char buffer[buffer_size];
  int listener = bench_listen(port, SOCK_NONBLOCK);
  int poller = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event events[most_events];
  add(poller, listener, EPOLLIN);
  while (true) {
    int count = epoll_wait(poller, events, most_events, -1);
    struct ended ended;
    ended.count = 0;
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener, poller);
      } else if (peers[fd]) {
        bool has_ended = events[i].events & (EPOLLRDHUP | EPOLLHUP);
        if (!relay(fd, buffer, has_ended)) end(fd, &ended);
      }
    }
    for (int i = 0; i < ended.count; i++) close(ended.descriptors[i]);
  }
}

int main(int argc, char **argv) {
  const struct bench_argument arguments[] = {
      {"PORT", 1, 65535}, {"THREADS", 1, 64}, {"BACKENDPORT", 1, 65535}};
  long values[3];
  bench_arguments(argc, argv, 3, arguments, values);
  bench_raise_descriptor_limit();
  port = values[0];
  backend_port = values[2];
  bench_run(values[1], work);
}
