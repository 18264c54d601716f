// The least that HTTP can cost with epoll: as epoll-echo, with as much of HTTP/1.1 as bench_http.h
// has. Pipelined requests are answered in one send.

#define _GNU_SOURCE
#include "bench.h"
#include "bench_http.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { most_kept = 4096, buffer_size = 2 * most_kept, out_size = 16384 };
enum { most_events = 256, most_descriptors = 65536 };

/// The beginning of a head whose rest has not come. Allocated when it is needed first.
struct part {
  char *bytes;
  int count;
};

static int port;
static struct part parts[most_descriptors];

static void add(int poller, int fd, unsigned events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) bench_fail("epoll_ctl");
}

static void accept_all(int listener, int poller) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if (fd >= most_descriptors) {
      close(fd);
    } else {
      add(poller, fd, EPOLLIN | EPOLLRDHUP | EPOLLET);
    }
  }
}

static void end(int fd) {
  free(parts[fd].bytes);
  parts[fd] = (struct part){0};
  close(fd);
}

/// Returns whether the connection goes on.
static bool serve(int fd, bool has_ended) {
  static _Thread_local char buffer[buffer_size], out[out_size];
  struct part *part = &parts[fd];
  while (true) {
    int kept = part->count;
    if (kept) memcpy(buffer, part->bytes, kept);
    ssize_t received = recv(fd, buffer + kept, buffer_size - kept, 0);
    if (received <= 0) return received < 0 && errno == EAGAIN && !has_ended;
    int total = kept + received;
    int out_count;
    bool is_last = false;
    int used = bench_serve(buffer, total, out, out_size, &out_count, &is_last);
    if (out_count && send(fd, out, out_count, MSG_NOSIGNAL) != out_count) return false;
    if (is_last) return false;
    part->count = total - used;
    if (part->count > most_kept) return false;
    if (part->count) {
      if (!part->bytes) part->bytes = malloc(most_kept);
      memcpy(part->bytes, buffer + used, part->count);
    }
    if (received < buffer_size - kept) return !has_ended;
  }
}

static void work(void) {
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
      } else if (!serve(fd, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        end(fd);
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
