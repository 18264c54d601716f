// What Swift cannot say about Linux: system calls with their errors in the result, and a few that
// Swift's Glibc module lacks. Every function returns -errno instead of setting errno, because Swift
// code may run a release or an allocation between a call and its look at errno. EINTR is retried
// here, save where a retry is wrong (close, connect); EAGAIN comes back as a value.

#ifndef CSHIMS_H
#define CSHIMS_H

// The order matters. liburing.h defines _XOPEN_SOURCE, which changes fd_set for whoever includes
// sys/select.h after it, and its own copy of the kernel's io_uring.h clashes with the one that
// swift-system's C module imports, unless the kernel's copy comes first.
#include <sys/types.h>
#include <sys/select.h>
#include <linux/io_uring.h>
#include <liburing.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

// epoll(7)

int fdp_epoll_create(void);
/// epoll_ctl(2). `operation` is one of EPOLL_CTL_ADD, _MOD, _DEL.
int fdp_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t data);
/// epoll_wait(2), not retried on EINTR: the caller's deadline has to be looked at again.
int fdp_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_milliseconds);

// eventfd(2), signalfd(2)

int fdp_eventfd(void);
int fdp_eventfd_signal(int fd);
int fdp_eventfd_drain(int fd);
/// Blocks the given signals in the calling thread and opens a signalfd for them.
int fdp_signalfd(const int *signals, int count);
/// The next pending signal's number, or -EAGAIN.
int fdp_signalfd_read(int fd);

// Sockets: all of them non-blocking and close-on-exec.

int fdp_socket(int domain, int type);
int fdp_socketpair(int domain, int type, int fds[2]);
int fdp_bind(int fd, const void *address, socklen_t length);
int fdp_listen(int fd, int backlog);
/// `address` and `length` may be null, as in accept(2).
int fdp_accept(int fd, void *address, socklen_t *length);
/// Not retried on EINTR: the connection goes on in the background, so that is -EINPROGRESS.
int fdp_connect(int fd, const void *address, socklen_t length);
ssize_t fdp_receive(int fd, void *bytes, size_t count, int flags);
/// Never raises SIGPIPE.
ssize_t fdp_send(int fd, const void *bytes, size_t count, int flags);
int fdp_shutdown(int fd, int how);
int fdp_set_option(int fd, int level, int name, int value);
int fdp_get_option(int fd, int level, int name, int *value);
int fdp_set_linger(int fd, bool enabled, int seconds);
int fdp_local_address(int fd, void *address, socklen_t *length);
int fdp_peer_address(int fd, void *address, socklen_t *length);

// Descriptors

/// Never retried: after EINTR the number is already free, and may be somebody else's (close(2),
/// NOTES).
int fdp_close(int fd);
/// A close-on-exec copy with a number of at least `minimum`.
int fdp_duplicate(int fd, int minimum);
int fdp_set_nonblocking(int fd);
int fdp_open_null(void);
ssize_t fdp_read(int fd, void *bytes, size_t count);
ssize_t fdp_write(int fd, const void *bytes, size_t count);
/// The soft limit of open descriptors.
uint64_t fdp_descriptor_limit(void);
/// Raises the soft limit of open descriptors to at most `wanted`; returns what holds afterwards.
uint64_t fdp_raise_descriptor_limit(uint64_t wanted);

// Memory: zeroed pages that cost nothing until they are touched, or null.

void *fdp_map_lazily(size_t bytes);
void fdp_unmap(void *memory, size_t bytes);

// Threads

typedef void (*fdp_thread_body)(void *context);
/// Starts a thread that has every signal blocked. `name` is cut to 15 bytes.
int fdp_thread_start(pthread_t *thread, const char *name, fdp_thread_body body, void *context);
void fdp_thread_join(pthread_t thread);
/// Pins the calling thread to one processor.
int fdp_thread_pin(int processor);
int fdp_processor_count(void);
uint64_t fdp_monotonic_nanoseconds(void);
/// The event loop that runs on this thread, or null. Out of line on purpose: an inlined
/// thread-local address may be cached across a suspension point, after which the code runs on
/// another thread.
void *fdp_current_loop(void);
void fdp_set_current_loop(void *loop);
/// True in a child that was forked after the first call of fdp_watch_forks and has not called exec.
bool fdp_is_forked_child(void);
void fdp_watch_forks(void);

#endif
