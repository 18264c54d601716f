#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <string.h>

enum { patience_milliseconds = 5000 };

static int poller(void) {
  static int fd = -1;
  if (fd < 0) fd = epoll_create1(EPOLL_CLOEXEC);
  return fd;
}

void load_watch(struct connection *connection, unsigned events) {
  struct epoll_event event = {.events = events | EPOLLET, .data.ptr = connection};
  if (epoll_ctl(poller(), EPOLL_CTL_ADD, connection->fd, &event)) {
    load_fail("epoll_ctl: %s", strerror(errno));
  }
}

uint64_t load_deadline(void) { return load_now() + load.limit * 1000000000ull; }

int load_wait(struct epoll_event *events, uint64_t deadline, long done) {
  if (load_now() > deadline) load_fail("not done in %ld s: %ld are", load.limit, done);
  int count = epoll_wait(poller(), events, load_most_events, patience_milliseconds);
  if (count < 0 && errno == EINTR) return 0;
  if (count < 0) load_fail("epoll_wait: %s", strerror(errno));
  if (count == 0) load_fail("nothing has come for 5 s, after %ld", done);
  return count;
}
