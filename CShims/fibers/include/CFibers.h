// Fibers for the interleaving explorer: stacks that one thread switches between without a system
// call. Nothing here may be used by code that runs in production.

#ifndef CFIBERS_H
#define CFIBERS_H

#include <stdbool.h>
#include <stddef.h>

/// A stack that can be switched to: what is saved of a fiber is on it, and `pointer` is its top.
struct fdf_fiber {
  void *pointer;
  void *memory;
  size_t bytes;
};

typedef void (*fdf_body)(void *context);

/// Allocates a stack with a guard page below it. Returns false if there is no memory.
bool fdf_allocate(struct fdf_fiber *fiber, size_t bytes);
void fdf_free(struct fdf_fiber *fiber);
/// Makes the next switch to the fiber call `body(context)`, which must never return: its last act is
/// a switch away. The fiber must not be in the midst of a body.
void fdf_reset(struct fdf_fiber *fiber, fdf_body body, void *context);
/// Saves the running fiber as `from` and goes on with `to`.
void fdf_switch(struct fdf_fiber *from, struct fdf_fiber *to);

/// Swift keeps a thread's running accesses in a thread-local list, which two fibers would corrupt.
/// Switches its checks off or on for the whole process; returns whether they were off before.
bool fdf_disable_exclusivity_checking(bool disabled);

/// The execution that the calling thread explores, or null.
void *fdf_current_execution(void);
void fdf_set_current_execution(void *execution);

#endif
