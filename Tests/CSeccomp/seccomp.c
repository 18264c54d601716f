#define _GNU_SOURCE
#include "CSeccomp.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// All filters answer one system call, and let the others through.

static long install(struct sock_filter *filter, size_t size, unsigned flags) {
  struct sock_fprog program = {.len = size / sizeof *filter, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  return result < 0 ? -errno : result;
}

int fdt_forbid_system_call(int number, int answer) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (answer & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  // Of all threads: those that exist already make system calls too.
  return install(filter, sizeof filter, SECCOMP_FILTER_FLAG_TSYNC);
}

int fdt_forbid_argument(int number, int position, unsigned value, int answer) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      // The lower half of the argument, on a machine that stores it first.
      BPF_STMT(
          BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + position * sizeof(__u64)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (answer & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return install(filter, sizeof filter, 0);
}

struct supply {
  int listener, left, answer;
};

// Answers for the kernel.
static void *hand_out(void *context) {
  struct supply *supply = context;
  struct seccomp_notif_sizes sizes;
  syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
  while (1) {
    // Zeroed, and as large as this kernel wants them.
    struct seccomp_notif *call = calloc(1, sizes.seccomp_notif);
    struct seccomp_notif_resp *answer = calloc(1, sizes.seccomp_notif_resp);
    if (ioctl(supply->listener, SECCOMP_IOCTL_NOTIF_RECV, call) == 0) {
      answer->id = call->id;
      if (supply->left > 0) {
        supply->left--;
        answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      } else {
        answer->error = -supply->answer;
      }
      ioctl(supply->listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
    }
    free(call);
    free(answer);
  }
  return NULL;
}

int fdt_ration_system_call(int number, int count, int answer) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
                   SECCOMP_FILTER_FLAG_NEW_LISTENER;
  long listener = install(filter, sizeof filter, flags);
  if (listener < 0) return listener;
  struct supply *supply = malloc(sizeof *supply);
  *supply = (struct supply){.listener = listener, .left = count, .answer = answer};
  pthread_t thread;
  return -pthread_create(&thread, NULL, hand_out, supply);
}
