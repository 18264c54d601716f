#define _GNU_SOURCE
#include "CShims.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct start {
  fdp_thread_body body;
  void *context;
  char name[16];
};

static void *run(void *argument) {
  struct start start = *(struct start *)argument;
  free(argument);
  pthread_setname_np(pthread_self(), start.name);
  start.body(start.context);
  return NULL;
}

int fdp_thread_start(pthread_t *thread, const char *name, fdp_thread_body body, void *context) {
  struct start *start = malloc(sizeof *start);
  if (!start) return -ENOMEM;
  *start = (struct start){.body = body, .context = context};
  strncpy(start->name, name, sizeof start->name - 1);
  // A thread inherits the mask of its creator, so the signals are blocked before it exists: a
  // handler that the program installed never runs on a loop, and a write to a broken pipe is EPIPE
  // instead of SIGPIPE.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int refused = pthread_create(thread, NULL, run, start);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (refused) free(start);
  return -refused;
}

void fdp_thread_join(pthread_t thread) { pthread_join(thread, NULL); }

void fdp_thread_name(char name[16]) {
  if (pthread_getname_np(pthread_self(), name, 16)) name[0] = 0;
}

int fdp_thread_pin(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (processor < 0 || processor >= CPU_SETSIZE) return -EINVAL;
  CPU_SET(processor, &set);
  return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int fdp_processor_count(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) < 0) return 1;
  int count = CPU_COUNT(&set);
  return count > 0 ? count : 1;
}

uint64_t fdp_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static _Thread_local void *current_loop;

// Of the Swift runtime.
__attribute__((swiftcall)) void *swift_task_getCurrent(void);

const void *fdp_current_task(void) { return swift_task_getCurrent(); }

void *fdp_current_loop(void) { return current_loop; }
void fdp_set_current_loop(void *loop) { current_loop = loop; }

static atomic_bool forked_child;
static pthread_once_t watching = PTHREAD_ONCE_INIT;

static void note_fork(void) { atomic_store_explicit(&forked_child, true, memory_order_relaxed); }
static void watch(void) { pthread_atfork(NULL, NULL, note_fork); }

void fdp_watch_forks(void) { pthread_once(&watching, watch); }
bool fdp_is_forked_child(void) {
  return atomic_load_explicit(&forked_child, memory_order_relaxed);
}
