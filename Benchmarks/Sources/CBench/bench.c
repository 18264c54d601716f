#define _GNU_SOURCE
#include "bench.h"
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

long bench_number(const char *program, const char *text, struct bench_argument argument) {
  char *end;
  errno = 0;
  long value = strtol(text, &end, 10);
  if (*text && !*end && !errno && value >= argument.least && value <= argument.most) return value;
  fprintf(
      stderr, "%s: %s is a number from %ld to %ld, not \"%s\"\n", program, argument.name,
      argument.least, argument.most, text);
  exit(2);
}

void bench_arguments(
    int argc, char **argv, int count, const struct bench_argument *arguments, long *values) {
  const char *program = program_invocation_short_name;
  if (argc != count + 1) {
    fprintf(stderr, "usage: %s", program);
    for (int i = 0; i < count; i++) fprintf(stderr, " %s", arguments[i].name);
    fputc('\n', stderr);
    exit(2);
  }
  for (int i = 0; i < count; i++) values[i] = bench_number(program, argv[i + 1], arguments[i]);
}

_Noreturn void bench_fail(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

void bench_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) bench_fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit)) bench_fail("setrlimit");
}

int bench_listen(int port, int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) bench_fail("socket");
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_port = htons(port),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
    char what[64];
    snprintf(what, sizeof what, "cannot listen on 127.0.0.1:%d", port);
    bench_fail(what);
  }
  return fd;
}

static void (*thread_body)(void);

static void *run_thread(void *unused) {
  (void)unused;
  thread_body();
  return NULL;
}

_Noreturn void bench_run(long threads, void (*body)(void)) {
  thread_body = body;
  for (long i = 1; i < threads; i++) {
    pthread_t thread;
    errno = pthread_create(&thread, NULL, run_thread, NULL);
    if (errno) bench_fail("pthread_create");
  }
  body();
  exit(1);
}
