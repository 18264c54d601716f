// The least that an echo can cost with epoll: edge-triggered, a listening socket for each thread,
// no state. It ends a connection whose peer does not take what it is sent.

#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_size = 16384, most_events = 256 };

static int port;

static void add(int poller, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) bench_fail("epoll_ctl");
}

static void accept_all(int listener, int poller) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    add(poller, fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
  }
}

/// Returns whether the connection goes on. A receive that does not fill the buffer has emptied the
/// socket: what comes later is another edge.
static bool echo(int fd, char *buffer, bool has_ended) {
  while (true) {
    ssize_t count = recv(fd, buffer, buffer_size, 0);
    if (count <= 0) return count < 0 && errno == EAGAIN && !has_ended;
    if (send(fd, buffer, count, MSG_NOSIGNAL) != count) return false;
    if (count < buffer_size && !has_ended) return true;
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
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        accept_all(listener, poller);
      } else {
        bool has_ended = events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        if (!echo(fd, buffer, has_ended)) close(fd);
      }
    }
  }
}

int main(int argc, char **argv) {
  const struct bench_argument arguments[] = {{"PORT", 1, 65535}, {"THREADS", 1, 64}};
  long values[2];
  bench_arguments(argc, argv, 2, arguments, values);
  bench_raise_descriptor_limit();
  port = values[0];
  bench_run(values[1], work);
}
