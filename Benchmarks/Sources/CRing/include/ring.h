// What the io_uring programs have in common: a ring with buffers that the kernel picks from.

#ifndef RING_H
#define RING_H

#include <sys/types.h>
#include <liburing.h>
#include <stdbool.h>

/// How a ring works: the bits of MODE.
enum {
  /// SINGLE_ISSUER and DEFER_TASKRUN: completions are made in the call that waits for them.
  bench_defer = 1,
  /// SINGLE_ISSUER and COOP_TASKRUN: completions interrupt nobody.
  bench_cooperate = 2,
  /// Sockets have no numbers in the process, only in the ring.
  bench_direct = 4,
};

struct bench_ring {
  struct io_uring ring;
  struct io_uring_buf_ring *buffer_ring;
  char *buffers;
  int listener;
  int mode;
  /// Buffers that were given back since the last wait.
  int returned;
};

enum { bench_buffers = 4096, bench_buffer_size = 4096, bench_buffer_group = 1 };

/// What a completion is of.
enum bench_operation { bench_accepted, bench_received, bench_sent, bench_last_sent, bench_closed };

static inline enum bench_operation bench_operation(const struct io_uring_cqe *completion) {
  return completion->user_data >> 56;
}
static inline unsigned bench_descriptor(const struct io_uring_cqe *completion) {
  return (unsigned)completion->user_data;
}
/// The buffer of a send.
static inline unsigned bench_sent_buffer(const struct io_uring_cqe *completion) {
  return completion->user_data >> 32 & 0xffff;
}
/// The buffer that a receive has filled.
static inline unsigned bench_received_buffer(const struct io_uring_cqe *completion) {
  return completion->flags >> IORING_CQE_BUFFER_SHIFT;
}
static inline char *bench_buffer(const struct bench_ring *ring, unsigned number) {
  return ring->buffers + (size_t)number * bench_buffer_size;
}

/// Makes a ring and a listening socket, and accepts. Ends the process if the kernel refuses.
void bench_ring_open(struct bench_ring *ring, int port, int mode);

// Requests, which go to the kernel with the next wait.

/// Accepts clients, each in a completion.
void bench_ring_accept(struct bench_ring *ring);
/// Receives into the ring's buffers, as often as something comes.
void bench_ring_receive(struct bench_ring *ring, unsigned fd);
void bench_ring_send(
    struct bench_ring *ring, unsigned fd, const void *bytes, int count, unsigned buffer,
    enum bench_operation operation);
/// Ends both directions: the receive then sees the end.
void bench_ring_shut_down(struct bench_ring *ring, unsigned fd);
void bench_ring_close(struct bench_ring *ring, unsigned fd);

/// Submits, and waits until something is complete.
void bench_ring_wait(struct bench_ring *ring);

/// Gives a buffer back, with the next `bench_ring_advance`.
static inline void bench_ring_return(struct bench_ring *ring, unsigned number) {
  io_uring_buf_ring_add(
      ring->buffer_ring, bench_buffer(ring, number), bench_buffer_size, number, bench_buffers - 1,
      ring->returned++);
}

/// So many completions have been dealt with.
static inline void bench_ring_advance(struct bench_ring *ring, unsigned count) {
  if (ring->returned) io_uring_buf_ring_advance(ring->buffer_ring, ring->returned);
  ring->returned = 0;
  io_uring_cq_advance(&ring->ring, count);
}

#endif
