#define _GNU_SOURCE
#include "CShims.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

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

// The group of the provided buffers: a ring has one.
enum { BUFFERS = 0 };

bool fdp_ring_receive(fdp_ring *ring, int fd, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_recv_multishot(request, fd, NULL, 0, 0);
  request->flags |= IOSQE_BUFFER_SELECT;
  request->buf_group = BUFFERS;
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_send(
    fdp_ring *ring, int fd, const void *bytes, size_t count, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_send(request, fd, bytes, count, MSG_NOSIGNAL);
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_accept(fdp_ring *ring, int fd, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_multishot_accept(request, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_connect(
    fdp_ring *ring, int fd, const void *address, socklen_t length, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_connect(request, fd, address, length);
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

bool fdp_ring_cancel(fdp_ring *ring, uint64_t target, uint64_t user_data) {
  struct io_uring_sqe *request = io_uring_get_sqe(&ring->uring);
  if (!request) return false;
  io_uring_prep_cancel64(request, target, 0);
  request->flags |= IOSQE_CQE_SKIP_SUCCESS;
  io_uring_sqe_set_data64(request, user_data);
  return true;
}

void fdp_ring_withdraw(fdp_ring *ring, int fd) {
  struct io_uring_sq *queue = &ring->uring.sq;
  // Not sqe_head: a submit that fails has moved that.
  unsigned first = io_uring_smp_load_acquire(queue->khead);
  for (unsigned place = first; place != queue->sqe_tail; place++) {
    struct io_uring_sqe *request = &queue->sqes[place & queue->ring_mask];
    if (request->fd != fd) continue;
    __u64 user_data = request->user_data;
    // Of a request that there is not.
    io_uring_prep_cancel64(request, 0, 0);
    request->user_data = user_data;
  }
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

// liburing 2.3 has no io_uring_setup_buf_ring: the ring of buffers is made by hand.
struct fdp_ring_buffers {
  struct io_uring_buf_ring *ring;
  char *memory;
  size_t ring_bytes;
  size_t memory_bytes;
  unsigned size;
  int mask;
};

static void *map(size_t bytes) {
  void *memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

void fdp_ring_buffers_destroy(fdp_ring_buffers *buffers) {
  if (buffers->ring) munmap(buffers->ring, buffers->ring_bytes);
  if (buffers->memory) munmap(buffers->memory, buffers->memory_bytes);
  free(buffers);
}

int fdp_ring_buffers_create(
    fdp_ring *ring, unsigned count, unsigned size, fdp_ring_buffers **made) {
  fdp_ring_buffers *buffers = calloc(1, sizeof *buffers);
  if (!buffers) return -ENOMEM;
  buffers->size = size;
  buffers->ring_bytes = count * sizeof(struct io_uring_buf);
  buffers->memory_bytes = (size_t)count * size;
  buffers->mask = io_uring_buf_ring_mask(count);
  buffers->ring = map(buffers->ring_bytes);
  buffers->memory = map(buffers->memory_bytes);
  if (!buffers->ring || !buffers->memory) {
    fdp_ring_buffers_destroy(buffers);
    return -ENOMEM;
  }
  io_uring_buf_ring_init(buffers->ring);
  struct io_uring_buf_reg registration = {
      .ring_addr = (uintptr_t)buffers->ring, .ring_entries = count, .bgid = BUFFERS};
  int result = io_uring_register_buf_ring(&ring->uring, &registration, 0);
  if (result < 0) {
    fdp_ring_buffers_destroy(buffers);
    return result;
  }
  for (unsigned number = 0; number < count; number++) fdp_ring_buffers_return(buffers, number);
  *made = buffers;
  return 0;
}

void *fdp_ring_buffers_memory(const fdp_ring_buffers *buffers) { return buffers->memory; }

void fdp_ring_buffers_return(fdp_ring_buffers *buffers, uint16_t number) {
  io_uring_buf_ring_add(
      buffers->ring, buffers->memory + (size_t)number * buffers->size, buffers->size, number,
      buffers->mask, 0);
  io_uring_buf_ring_advance(buffers->ring, 1);
}
