#define _GNU_SOURCE
#include "CShims.h"
#include "retry.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(
    const char *path, char *const environment[], int input, int errors, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  if (posix_spawn_file_actions_init(&actions)) return -ENOMEM;
  if (posix_spawnattr_init(&attributes)) {
    posix_spawn_file_actions_destroy(&actions);
    return -ENOMEM;
  }
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  int refused = posix_spawn_file_actions_adddup2(&actions, input, 0);
  if (!refused) refused = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  if (!refused) refused = posix_spawn_file_actions_adddup2(&actions, errors, 2);
  char *const arguments[] = {(char *)path, NULL};
  if (!refused) refused = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return -refused;
}

int fdp_spawn(
    const char *path, char *const environment[], int *input, int *errors, pid_t *pid,
    int *exit) {
  int inputs[2], outputs[2];
  if (pipe2(inputs, O_CLOEXEC) < 0) return -errno;
  if (pipe2(outputs, O_CLOEXEC) < 0) {
    int error = -errno;
    close(inputs[0]);
    close(inputs[1]);
    return error;
  }
  int result = spawn(path, environment, inputs[0], outputs[1], pid);
  close(inputs[0]);
  close(outputs[1]);
  if (result == 0) {
    *exit = (int)syscall(SYS_pidfd_open, *pid, 0);
    if (*exit < 0) {
      result = -errno;
      kill(-*pid, SIGKILL);
      fdp_reap(*pid);
    }
  }
  if (result < 0) {
    close(inputs[1]);
    close(outputs[0]);
    return result;
  }
  *input = inputs[1];
  *errors = outputs[0];
  return 0;
}

int fdp_poll_either(int first, int second) {
  struct pollfd waits[] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
  int ready = RETRYING(poll(waits, 2, -1));
  if (ready < 0) return -errno;
  return (waits[0].revents ? 1 : 0) | (waits[1].revents ? 2 : 0);
}

void fdp_kill_group(pid_t leader) { kill(-leader, SIGKILL); }

int fdp_reap(pid_t pid) {
  int status = 0;
  pid_t reaped = RETRYING(waitpid(pid, &status, 0));
  if (reaped < 0) return -errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}
