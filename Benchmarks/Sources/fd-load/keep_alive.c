#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/// Receives what there is. Returns whether the answer is complete.
static bool receive(struct connection *connection) {
  static char bytes[65536];
  ssize_t count = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count == 0) load_fail("the server has closed a connection");
  if (count < 0 && errno == EAGAIN) return false;
  if (count < 0) load_fail("cannot receive: %s", strerror(errno));
  return load_take(connection, bytes, count);
}

static void ask(struct connection *connection) {
  if (!load_ask(connection, false)) load_fail("cannot send: %s", strerror(errno));
}

static void exchange(struct connection *connections, long total) {
  struct epoll_event events[load_most_events];
  uint64_t deadline = load_deadline();
  long asked = 0;
  for (long i = 0; i < load.connections && asked < total; i++, asked++) {
    connections[i].began = load_now();
    ask(&connections[i]);
  }
  for (long done = 0; done < total;) {
    int count = load_wait(events, deadline, done);
    for (int i = 0; i < count; i++) {
      struct connection *connection = events[i].data.ptr;
      if (!receive(connection)) continue;
      uint64_t now = load_now();
      load_note(now - connection->began);
      done++;
      if (asked == total) continue;
      asked++;
      connection->began = now;
      ask(connection);
    }
  }
}

void load_keep_alive(void) {
  struct connection *connections = calloc(load.connections, sizeof *connections);
  for (long i = 0; i < load.connections; i++) {
    load_open(&connections[i]);
    load_watch(&connections[i], EPOLLIN);
  }
  exchange(connections, load.warm_up);
  load_pass_gate();
  load_begin();
  exchange(connections, load.total);
  load_report(0);
  if (load.is_gated) load_hold();
}
