#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// A connection that has one request.
struct visit {
  struct connection connection;
  enum { visit_connecting, visit_asked, visit_answered, visit_failed } state;
};

struct churn {
  long total, begun, ended, failed;
};

static void begin(struct visit *visit, struct churn *churn) {
  churn->begun++;
  visit->state = visit_connecting;
  visit->connection.part_count = 0;
  visit->connection.began = load_now();
  visit->connection.fd = load_dial(SOCK_NONBLOCK);
  load_watch(&visit->connection, EPOLLIN | EPOLLOUT);
}

/// Goes as far as it can. Returns whether the visit is over: a server of HTTP closes the connection
/// after its answer, an echo is over when it is complete.
static bool advance(struct visit *visit) {
  static char bytes[65536];
  if (visit->state == visit_connecting) {
    visit->state = load_ask(&visit->connection, true) ? visit_asked : visit_failed;
    return visit->state == visit_failed;
  }
  while (true) {
    ssize_t count = recv(visit->connection.fd, bytes, sizeof bytes, 0);
    if (count < 0 && errno == EAGAIN) return false;
    if (count == 0 && visit->state == visit_answered) return true;
    if (count <= 0) {
      visit->state = visit_failed;
      return true;
    }
    if (!load_take(&visit->connection, bytes, count)) continue;
    visit->state = visit_answered;
    if (!load.is_http) return true;
  }
}

/// Ends a visit, and begins another in its place if there are to be more.
static void end(struct visit *visit, struct churn *churn) {
  close(visit->connection.fd);
  churn->ended++;
  if (visit->state == visit_failed) {
    churn->failed++;
  } else {
    load_note(load_now() - visit->connection.began);
  }
  if (churn->begun < churn->total) begin(visit, churn);
}

/// Returns how many have failed.
static long visit_often(struct visit *visits, long total) {
  struct epoll_event events[load_most_events];
  uint64_t deadline = load_deadline();
  struct churn churn = {.total = total};
  for (long i = 0; i < load.connections && i < total; i++) begin(&visits[i], &churn);
  while (churn.ended < total) {
    int count = load_wait(events, deadline, churn.ended);
    for (int i = 0; i < count; i++) {
      // It is the first part of a visit.
      struct visit *visit = events[i].data.ptr;
      if (advance(visit)) end(visit, &churn);
    }
  }
  return churn.failed;
}

void load_churn(void) {
  struct visit *visits = calloc(load.connections, sizeof *visits);
  visit_often(visits, load.warm_up);
  load_pass_gate();
  load_begin();
  load_report(visit_often(visits, load.total));
  if (load.is_gated) load_hold();
}
