#define _GNU_SOURCE
#include "CShims.h"
#include "retry.h"
#include "system_call.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>

int fdp_close(int fd) { return call_close(fd) < 0 ? -errno : 0; }

int fdp_duplicate(int fd, int minimum) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, minimum);
  return copy < 0 ? -errno : copy;
}

int fdp_set_nonblocking(int fd) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  if (flags & O_NONBLOCK) return 0;
  return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int fdp_open_null(void) {
  int fd = RETRYING(open("/dev/null", O_RDONLY | O_CLOEXEC));
  return fd < 0 ? -errno : fd;
}

int fdp_open(const char *path, int flags, unsigned mode) {
  int fd = RETRYING(open(path, flags | O_CLOEXEC, mode));
  return fd < 0 ? -errno : fd;
}

int fdp_poll(int fd, int events, int timeout_milliseconds) {
  struct pollfd wait = {.fd = fd, .events = (short)events};
  int ready = poll(&wait, 1, timeout_milliseconds);
  return ready < 0 ? -errno : wait.revents;
}

ssize_t fdp_read(int fd, void *bytes, size_t count) {
  ssize_t got = RETRYING(read(fd, bytes, count));
  return got < 0 ? -errno : got;
}

ssize_t fdp_write(int fd, const void *bytes, size_t count) {
  ssize_t put = RETRYING(write(fd, bytes, count));
  return put < 0 ? -errno : put;
}

uint64_t fdp_descriptor_limit(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_cur;
}

uint64_t fdp_raise_descriptor_limit(uint64_t wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 1024;
  rlim_t target = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  if (target > limit.rlim_cur) {
    struct rlimit raised = {.rlim_cur = target, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return target;
  }
  return limit.rlim_cur;
}

void *fdp_map_lazily(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  // A huge page would make the first descriptor pay for thousands of slots.
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  return memory;
}

void fdp_unmap(void *memory, size_t bytes) { munmap(memory, bytes); }
