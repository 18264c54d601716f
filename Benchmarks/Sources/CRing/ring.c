#define _GNU_SOURCE
#include "ring.h"
#include "bench.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { submissions = 1024, completions = 16384, direct_descriptors = 16384 };

static void check(int result, const char *what) {
  if (result >= 0) return;
  errno = -result;
  bench_fail(what);
}

static void *allocate(size_t size) {
  void *memory =
      mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) bench_fail("mmap");
  return memory;
}

/// By hand what io_uring_setup_buf_ring(3) does in newer libraries.
static void open_buffers(struct bench_ring *ring) {
  ring->buffer_ring = allocate(bench_buffers * sizeof(struct io_uring_buf));
  io_uring_buf_ring_init(ring->buffer_ring);
  struct io_uring_buf_reg registration = {
      .ring_addr = (__u64)ring->buffer_ring,
      .ring_entries = bench_buffers,
      .bgid = bench_buffer_group,
  };
  check(
      io_uring_register_buf_ring(&ring->ring, &registration, 0),
      "cannot register a ring of buffers");
  ring->buffers = allocate((size_t)bench_buffers * bench_buffer_size);
  for (int i = 0; i < bench_buffers; i++) bench_ring_return(ring, i);
  bench_ring_advance(ring, 0);
}

void bench_ring_open(struct bench_ring *ring, int port, int mode) {
  *ring = (struct bench_ring){.mode = mode, .listener = bench_listen(port, 0)};
  struct io_uring_params parameters = {
      .flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
      .cq_entries = completions,
  };
  if (mode & (bench_defer | bench_cooperate)) parameters.flags |= IORING_SETUP_SINGLE_ISSUER;
  if (mode & bench_defer) parameters.flags |= IORING_SETUP_DEFER_TASKRUN;
  if (mode & bench_cooperate) parameters.flags |= IORING_SETUP_COOP_TASKRUN;
  check(
      io_uring_queue_init_params(submissions, &ring->ring, &parameters), "cannot make an io_uring");
  check(io_uring_register_ring_fd(&ring->ring), "cannot register the ring's descriptor");
  if (mode & bench_direct) {
    check(
        io_uring_register_files_sparse(&ring->ring, direct_descriptors),
        "cannot register descriptors");
  }
  open_buffers(ring);
  bench_ring_accept(ring);
}

static struct io_uring_sqe *next(struct bench_ring *ring) {
  struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
  if (entry) return entry;
  check(io_uring_submit(&ring->ring), "io_uring_submit");
  entry = io_uring_get_sqe(&ring->ring);
  if (!entry) check(-EBUSY, "io_uring_get_sqe");
  return entry;
}

static void name(
    struct io_uring_sqe *entry, enum bench_operation operation, unsigned fd, unsigned buffer) {
  entry->user_data = (__u64)operation << 56 | (__u64)buffer << 32 | fd;
}

void bench_ring_accept(struct bench_ring *ring) {
  struct io_uring_sqe *entry = next(ring);
  if (ring->mode & bench_direct) {
    io_uring_prep_multishot_accept_direct(entry, ring->listener, NULL, NULL, 0);
  } else {
    io_uring_prep_multishot_accept(entry, ring->listener, NULL, NULL, 0);
  }
  name(entry, bench_accepted, ring->listener, 0);
}

void bench_ring_receive(struct bench_ring *ring, unsigned fd) {
  struct io_uring_sqe *entry = next(ring);
  io_uring_prep_recv_multishot(entry, fd, NULL, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = bench_buffer_group;
  if (ring->mode & bench_direct) entry->flags |= IOSQE_FIXED_FILE;
  name(entry, bench_received, fd, 0);
}

void bench_ring_send(
    struct bench_ring *ring, unsigned fd, const void *bytes, int count, unsigned buffer,
    enum bench_operation operation) {
  struct io_uring_sqe *entry = next(ring);
  io_uring_prep_send(entry, fd, bytes, count, MSG_NOSIGNAL | MSG_WAITALL);
  if (ring->mode & bench_direct) entry->flags |= IOSQE_FIXED_FILE;
  name(entry, operation, fd, buffer);
}

void bench_ring_shut_down(struct bench_ring *ring, unsigned fd) {
  struct io_uring_sqe *entry = next(ring);
  io_uring_prep_shutdown(entry, fd, SHUT_RDWR);
  if (ring->mode & bench_direct) entry->flags |= IOSQE_FIXED_FILE;
  name(entry, bench_closed, fd, 0);
}

void bench_ring_close(struct bench_ring *ring, unsigned fd) {
  struct io_uring_sqe *entry = next(ring);
  if (ring->mode & bench_direct) {
    io_uring_prep_close_direct(entry, fd);
  } else {
    io_uring_prep_close(entry, fd);
  }
  name(entry, bench_closed, fd, 0);
}

void bench_ring_wait(struct bench_ring *ring) {
  int result = io_uring_submit_and_wait(&ring->ring, 1);
  if (result != -EINTR && result != -EBUSY) check(result, "io_uring_submit_and_wait");
}
