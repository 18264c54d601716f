// The least that an echo can cost with io_uring: multishot accepts and receives, buffers that the
// kernel picks, and sends from where the bytes are. MODE is a sum: 1 SINGLE_ISSUER and
// DEFER_TASKRUN, 2 SINGLE_ISSUER and COOP_TASKRUN, 4 direct descriptors. 1 costs least.

#define _GNU_SOURCE
#include "bench.h"
#include "ring.h"
#include <errno.h>
#include <stddef.h>

static int port, mode;

static void received(struct bench_ring *ring, const struct io_uring_cqe *completion) {
  unsigned fd = bench_descriptor(completion);
  if (completion->res > 0) {
    unsigned buffer = bench_received_buffer(completion);
    bench_ring_send(
        ring, fd, bench_buffer(ring, buffer), completion->res, buffer, bench_sent);
    if (!(completion->flags & IORING_CQE_F_MORE)) bench_ring_receive(ring, fd);
  } else if (completion->res == -ENOBUFS) {
    bench_ring_receive(ring, fd);
  } else {
    bench_ring_close(ring, fd);
  }
}

static void work(void) {
  struct bench_ring ring;
  bench_ring_open(&ring, port, mode);
  while (true) {
    bench_ring_wait(&ring);
    struct io_uring_cqe *completion;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring.ring, head, completion) {
      count++;
      switch (bench_operation(completion)) {
        case bench_accepted:
          if (completion->res >= 0) bench_ring_receive(&ring, completion->res);
          if (!(completion->flags & IORING_CQE_F_MORE)) bench_ring_accept(&ring);
          break;
        case bench_received:
          received(&ring, completion);
          break;
        case bench_sent:
          bench_ring_return(&ring, bench_sent_buffer(completion));
          break;
        case bench_last_sent:
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
