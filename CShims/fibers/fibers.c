#define _GNU_SOURCE
#include "CFibers.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

bool fdf_allocate(struct fdf_fiber *fiber, size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  bytes = (bytes + page - 1) / page * page + page;
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) return false;
  mprotect(memory, page, PROT_NONE);
  *fiber = (struct fdf_fiber){.memory = memory, .bytes = bytes};
  return true;
}

void fdf_free(struct fdf_fiber *fiber) {
  if (fiber->memory) munmap(fiber->memory, fiber->bytes);
  fiber->memory = NULL;
}

extern bool _swift_disableExclusivityChecking;

bool fdf_disable_exclusivity_checking(bool disabled) {
  bool before = _swift_disableExclusivityChecking;
  _swift_disableExclusivityChecking = disabled;
  return before;
}

static _Thread_local void *current_execution;

void *fdf_current_execution(void) { return current_execution; }
void fdf_set_current_execution(void *execution) { current_execution = execution; }

void fdf_enter(void);

// The frame that fdf_switch pops: what the platform's calling convention makes the callee save, but
// for the floating-point control words, which all fibers of a thread share.
#if defined(__x86_64__)

void fdf_reset(struct fdf_fiber *fiber, fdf_body body, void *context) {
  uintptr_t top = ((uintptr_t)fiber->memory + fiber->bytes) & ~(uintptr_t)15;
  uint64_t *frame = (uint64_t *)top - 9;
  frame[0] = 0;                    // r15
  frame[1] = 0;                    // r14
  frame[2] = (uint64_t)body;       // r13
  frame[3] = (uint64_t)context;    // r12
  frame[4] = 0;                    // rbx
  frame[5] = 0;                    // rbp
  frame[6] = (uint64_t)fdf_enter;  // return address; the stack is aligned behind it
  frame[7] = 0;
  frame[8] = 0;
  fiber->pointer = frame;
}

__asm__(
    ".text\n"
    ".globl fdf_switch\n"
    ".type fdf_switch, @function\n"
    "fdf_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq (%rsi), %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size fdf_switch, .-fdf_switch\n"
    ".globl fdf_enter\n"
    ".type fdf_enter, @function\n"
    "fdf_enter:\n"
    "  movq %r12, %rdi\n"
    "  callq *%r13\n"
    "  ud2\n"
    ".size fdf_enter, .-fdf_enter\n");

#elif defined(__aarch64__)

void fdf_reset(struct fdf_fiber *fiber, fdf_body body, void *context) {
  uintptr_t top = ((uintptr_t)fiber->memory + fiber->bytes) & ~(uintptr_t)15;
  uint64_t *frame = (uint64_t *)top - 20;
  for (int i = 0; i < 20; i++) frame[i] = 0;
  frame[0] = (uint64_t)context;     // x19
  frame[1] = (uint64_t)body;        // x20
  frame[11] = (uint64_t)fdf_enter;  // x30
  fiber->pointer = frame;
}

__asm__(
    ".text\n"
    ".globl fdf_switch\n"
    ".type fdf_switch, %function\n"
    "fdf_switch:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp]\n  stp x21, x22, [sp, #16]\n  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n  stp x27, x28, [sp, #64]\n  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  ldr x9, [x1]\n"
    "  mov sp, x9\n"
    "  ldp x19, x20, [sp]\n  ldp x21, x22, [sp, #16]\n  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n  ldp x27, x28, [sp, #64]\n  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n"
    ".size fdf_switch, .-fdf_switch\n"
    ".globl fdf_enter\n"
    ".type fdf_enter, %function\n"
    "fdf_enter:\n"
    "  mov x0, x19\n"
    "  blr x20\n"
    "  brk #1\n"
    ".size fdf_enter, .-fdf_enter\n");

#else
#error "fibers are written for x86-64 and arm64"
#endif
