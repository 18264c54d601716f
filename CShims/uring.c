#define _GNU_SOURCE
#include "CShims.h"
#include <errno.h>
#include <stdlib.h>

struct fdp_ring {
  struct io_uring uring;
};

int fdp_ring_create(unsigned submissions, unsigned completions, unsigned flags, fdp_ring **made) {
  fdp_ring *ring = calloc(1, sizeof *ring);
  if (!ring) return -ENOMEM;
  struct io_uring_params parameters = {
      .flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP, .cq_entries = completions};
  int result = io_uring_queue_init_params(submissions, &ring->uring, &parameters);
  if (result < 0) {
    free(ring);
    return result;
  }
  *made = ring;
  return 0;
}

void fdp_ring_destroy(fdp_ring *ring) {
  io_uring_queue_exit(&ring->uring);
  free(ring);
}

unsigned fdp_ring_features(const fdp_ring *ring) { return ring->uring.features; }

int fdp_ring_enable(fdp_ring *ring) {
  // liburing 2.3 declares io_uring_enable_rings and does not export it.
  int result =
      io_uring_register(ring->uring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
  if (result < 0) return result;
  // Saves the look-up of the ring's descriptor in every system call, and is nothing but that.
  io_uring_register_ring_fd(&ring->uring);
  return 0;
}

bool fdp_ring_poll(fdp_ring *ring, int fd, uint32_t events, bool multishot, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_poll_add(request, fd, events);
  if (multishot) request->len = IORING_POLL_ADD_MULTI;
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_poll_again(fdp_ring *ring, uint64_t target, uint32_t events, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_poll_update(
      request, target, 0, events, IORING_POLL_UPDATE_EVENTS | IORING_POLL_ADD_MULTI);
  request->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_poll_remove(fdp_ring *ring, uint64_t target, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_poll_remove(request, target);
  request->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

int fdp_ring_submit(fdp_ring *ring) { return io_uring_submit(&ring->uring); }

int fdp_ring_wait(fdp_ring *ring, int64_t nanoseconds) {
  if (nanoseconds < 0) return io_uring_submit_and_wait(&ring->uring, 1);
  // Not a wait for zero completions, which would not run the kernel's deferred work.
  if (nanoseconds == 0) return io_uring_submit_and_get_events(&ring->uring);
  struct __kernel_timespec limit = {
      .tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
  struct io_uring_cqe *first;
  return io_uring_submit_and_wait_timeout(&ring->uring, &first, 1, &limit, NULL);
}

int fdp_ring_completions(fdp_ring *ring, struct fdp_completion *completions, int capacity) {
  struct io_uring_cqe *completion;
  unsigned head;
  int count = 0;
  io_uring_for_each_cqe(&ring->uring, head, completion) {
    if (count == capacity) break;
    completions[count++] = (struct fdp_completion){
        .user_data = completion->user_data, .result = completion->res, .flags = completion->flags};
  }
  io_uring_cq_advance(&ring->uring, count);
  return count;
}

bool fdp_ring_has_overflow(const fdp_ring *ring) {
  return io_uring_cq_has_overflow(&ring->uring);
}
