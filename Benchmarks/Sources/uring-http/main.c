// The least that HTTP can cost with io_uring: as uring-echo, with as much of HTTP/1.1 as
// bench_http.h has. One request that comes whole, which is the rule, is answered from constant
// memory. MODE is as of uring-echo.

#define _GNU_SOURCE
#include "bench.h"
#include "bench_http.h"
#include "ring.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

enum { out_size = 16384, most_descriptors = 65536 };

static int port, mode;

/// What a connection has only when it needs it.
struct client {
  /// The beginning of a head whose rest has not come.
  char *part;
  int part_count;
  /// Answers to pipelined requests, until they are sent.
  char *out;
  bool is_ending;
};

static void forget(struct client *client) {
  free(client->part);
  free(client->out);
  *client = (struct client){0};
}

/// Answers what has come. The bytes are the caller's again afterwards.
static void serve(
    struct bench_ring *ring, struct client *client, unsigned fd, const char *bytes, int count) {
  static _Thread_local char whole[2 * bench_buffer_size];
  if (client->part_count) {
    memcpy(whole, client->part, client->part_count);
    memcpy(whole + client->part_count, bytes, count);
    bytes = whole;
    count += client->part_count;
    client->part_count = 0;
  }
  bool is_last = false;
  int used = bench_read_request(bytes, count, &is_last);
  if (used == count) {
    client->is_ending = is_last;
    bench_ring_send(
        ring, fd, is_last ? bench_last_answer : bench_answer,
        is_last ? bench_last_answer_length : bench_answer_length, 0,
        is_last ? bench_last_sent : bench_sent);
    return;
  }
  if (!client->out) client->out = malloc(out_size);
  int out_count;
  is_last = false;
  used = bench_serve(bytes, count, client->out, out_size, &out_count, &is_last);
  client->is_ending = is_last;
  if (out_count) {
    bench_ring_send(
        ring, fd, client->out, out_count, 0, is_last ? bench_last_sent : bench_sent);
  }
  int rest = count - used;
  if (rest > bench_buffer_size || (is_last && !out_count)) {
    client->is_ending = true;
    bench_ring_shut_down(ring, fd);
  } else if (rest) {
    if (!client->part) client->part = malloc(bench_buffer_size);
    memcpy(client->part, bytes + used, rest);
    client->part_count = rest;
  }
}

static void received(
    struct bench_ring *ring, struct client *clients, const struct io_uring_cqe *completion) {
  unsigned fd = bench_descriptor(completion);
  if (completion->res > 0) {
    unsigned buffer = bench_received_buffer(completion);
    if (!clients[fd].is_ending) {
      serve(ring, &clients[fd], fd, bench_buffer(ring, buffer), completion->res);
    }
    bench_ring_return(ring, buffer);
    if (!(completion->flags & IORING_CQE_F_MORE)) bench_ring_receive(ring, fd);
  } else if (completion->res == -ENOBUFS) {
    bench_ring_receive(ring, fd);
  } else {
    forget(&clients[fd]);
    bench_ring_close(ring, fd);
  }
}

static void work(void) {
  struct bench_ring ring;
  struct client *clients = calloc(most_descriptors, sizeof *clients);
  if (!clients) bench_fail("calloc");
  bench_ring_open(&ring, port, mode);
  while (true) {
    bench_ring_wait(&ring);
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring.ring, head, completion) {
      count++;
      switch (bench_operation(completion)) {
        case bench_accepted:
          if (completion->res >= most_descriptors) {
            bench_ring_close(&ring, completion->res);
          } else if (completion->res >= 0) {
            bench_ring_receive(&ring, completion->res);
          }
          if (!(completion->flags & IORING_CQE_F_MORE)) bench_ring_accept(&ring);
          break;
        case bench_received:
          received(&ring, clients, completion);
          break;
        case bench_last_sent:
          bench_ring_shut_down(&ring, bench_descriptor(completion));
          break;
        case bench_sent:
        case bench_closed:
          break;
      }
    }
    bench_ring_advance(&ring, count);
  }
}

int main(int argc, char **argv) {
  const struct bench_argument arguments[] = {
      {"PORT", 1, 65535}, {"THREADS", 1, 64}, {"MODE", 0, 7}};
  long values[3];
  bench_arguments(argc, argv, 3, arguments, values);
  bench_raise_descriptor_limit();
  port = values[0];
  mode = values[2];
  bench_run(values[1], work);
}
