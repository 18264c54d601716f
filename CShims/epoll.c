#define _GNU_SOURCE
#include "CShims.h"
#include "retry.h"
#include "system_call.h"
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <signal.h>

int fdp_epoll_create(void) {
  int fd = epoll_create1(EPOLL_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int fdp_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int fdp_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_milliseconds) {
  long count = call_epoll_wait(epoll, events, capacity, timeout_milliseconds);
  return count < 0 ? -errno : (int)count;
}

int fdp_eventfd(void) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int fdp_eventfd_signal(int fd) {
  uint64_t one = 1;
  return RETRYING(call_write(fd, &one, sizeof one)) < 0 ? -errno : 0;
}

int fdp_eventfd_drain(int fd) {
  uint64_t count;
  return RETRYING(call_read(fd, &count, sizeof count)) < 0 ? -errno : 0;
}

int fdp_signalfd(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  int refused = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (refused) return -refused;
  int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

int fdp_signalfd_read(int fd) {
  struct signalfd_siginfo info;
  return RETRYING(read(fd, &info, sizeof info)) < 0 ? -errno : (int)info.ssi_signo;
}
