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

// io_uring(7), through liburing. A ring is used by one thread, save for its creation.

typedef struct fdp_ring fdp_ring;

/// What the kernel says of a request (io_uring_cqe).
struct fdp_completion {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
};

/// io_uring_setup(2) with room for so many submissions and completions; the kernel rounds both up.
/// `flags` are of IORING_SETUP_.
int fdp_ring_create(unsigned submissions, unsigned completions, unsigned flags, fdp_ring **made);
/// Must not have requests in flight whose memory is released with it.
void fdp_ring_destroy(fdp_ring *ring);
/// The IORING_FEAT_ bits of the kernel.
unsigned fdp_ring_features(const fdp_ring *ring);
/// Makes the calling thread the one that submits, for a ring that was created disabled
/// (IORING_SETUP_R_DISABLED).
int fdp_ring_enable(fdp_ring *ring);

// Requests are collected until the next submit or wait. False: there is no room until a submit.

/// Polls the descriptor for EPOLL bits; more than once if `multishot`.
bool fdp_ring_poll(fdp_ring *ring, int fd, uint32_t events, bool multishot, uint64_t user_data);
/// Makes a multishot poll look again. Has a completion of its own only if that fails.
bool fdp_ring_poll_again(fdp_ring *ring, uint64_t target, uint32_t events, uint64_t user_data);
/// Ends a poll; who waits behind it for the same file is woken from then on. Has a completion of
/// its own only if that fails: EALREADY says that the poll is being run, and goes on.
bool fdp_ring_poll_remove(fdp_ring *ring, uint64_t target, uint64_t user_data);

/// Receives into one provided buffer after the other until it ends; the completion's upper 16 flag
/// bits are the buffer's number.
bool fdp_ring_receive(fdp_ring *ring, int fd, uint64_t user_data);
/// Sends as much as the socket takes, once it takes any; never raises SIGPIPE. `bytes` have to stay
/// until the completion.
bool fdp_ring_send(
    fdp_ring *ring, int fd, const void *bytes, size_t count, uint64_t user_data);
/// Accepts one client after the other until it ends: non-blocking and close-on-exec.
bool fdp_ring_accept(fdp_ring *ring, int fd, uint64_t user_data);
/// `address` has to stay until the completion.
bool fdp_ring_connect(
    fdp_ring *ring, int fd, const void *address, socklen_t length, uint64_t user_data);
/// Ends a request of any kind. Has a completion of its own only if that fails.
bool fdp_ring_cancel(fdp_ring *ring, uint64_t target, uint64_t user_data);

/// Spoils what was collected for a descriptor and not told yet, because the kernel took nothing more:
/// the number is about to be free, and to be somebody else's. The requests fail with -ENOENT.
void fdp_ring_withdraw(fdp_ring *ring, int fd);

/// Tells the kernel what was collected, without waiting.
int fdp_ring_submit(fdp_ring *ring);
/// Tells the kernel what was collected and waits for a completion, in one system call: for so many
/// nanoseconds, for ever if that is negative. Not retried on EINTR; a time that is over is -ETIME.
int fdp_ring_wait(fdp_ring *ring, int64_t nanoseconds);
/// Takes out the next completions, at most so many.
int fdp_ring_completions(fdp_ring *ring, struct fdp_completion *completions, int capacity);
/// Whether the kernel keeps completions for which there is no room; the next wait brings them.
bool fdp_ring_has_overflow(const fdp_ring *ring);

// Provided buffers: memory that receives choose from when there is something to receive.

typedef struct fdp_ring_buffers fdp_ring_buffers;

/// Makes `count` buffers, a power of 2 of at most 32,768, of `size` bytes each, numbered from 0, and
/// provides all of them. A ring has them once. Callable before the ring is enabled.
int fdp_ring_buffers_create(
    fdp_ring *ring, unsigned count, unsigned size, fdp_ring_buffers **made);
/// When nothing receives into them any more.
void fdp_ring_buffers_destroy(fdp_ring_buffers *buffers);
/// Where the first one begins; the others follow.
void *fdp_ring_buffers_memory(const fdp_ring_buffers *buffers);
/// Provides a buffer again.
void fdp_ring_buffers_return(fdp_ring_buffers *buffers, uint16_t number);

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
/// Tells a socket's peer of its end as close(2) would, while others hold the socket open: with a
/// reset if it is not to linger (SO_LINGER, socket(7)).
int fdp_end_connection(int fd);
int fdp_set_option(int fd, int level, int name, int value);
int fdp_get_option(int fd, int level, int name, int *value);
int fdp_set_linger(int fd, bool enabled, int seconds);
int fdp_local_address(int fd, void *address, socklen_t *length);
int fdp_peer_address(int fd, void *address, socklen_t *length);

/// Who was at the other end of a Unix socket when it was connected (SO_PEERCRED, unix(7)).
int fdp_peer_credentials(int fd, int *process, unsigned *user);
/// Sends bytes, at least one, and copies of at most FDP_DESCRIPTORS descriptors with them.
ssize_t fdp_send_descriptors(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count);
/// Receives bytes and the descriptors that come with them, close-on-exec: at most FDP_DESCRIPTORS,
/// for which there is room. If either was cut the descriptors are closed: -EMSGSIZE.
ssize_t fdp_receive_descriptors(
    int socket, void *bytes, size_t count, int *descriptors, size_t *descriptor_count);
#define FDP_DESCRIPTORS 64
/// fchmod(2). Of a Unix socket before it is bound: the mode that its file is made with.
int fdp_set_mode(int fd, unsigned mode);

/// What the kernel knows of a TCP socket (TCP_INFO, tcp(7)): its state, by the numbers of
/// <netinet/tcp.h>, and how many milliseconds ago the last data was received and sent.
struct fdp_tcp_facts {
  uint32_t state;
  uint32_t received_ago;
  uint32_t sent_ago;
};
int fdp_tcp_look(int fd, struct fdp_tcp_facts *facts);

// Descriptors

/// Never retried: after EINTR the number is already free, and may be somebody else's (close(2),
/// NOTES).
int fdp_close(int fd);
/// A close-on-exec copy with a number of at least `minimum`.
int fdp_duplicate(int fd, int minimum);
int fdp_set_nonblocking(int fd);
int fdp_open_null(void);
/// open(2), close-on-exec. `mode` is of a file that is made.
int fdp_open(const char *path, int flags, unsigned mode);
/// poll(2) of one descriptor: the POLL bits that hold, of `events` and of errors; 0 when so many
/// milliseconds are over. Not retried on EINTR: the caller's deadline has to be looked at again.
int fdp_poll(int fd, int events, int timeout_milliseconds);
ssize_t fdp_read(int fd, void *bytes, size_t count);
ssize_t fdp_write(int fd, const void *bytes, size_t count);
/// The soft limit of open descriptors.
uint64_t fdp_descriptor_limit(void);
/// Raises the soft limit of open descriptors to at most `wanted`; returns what holds afterwards.
uint64_t fdp_raise_descriptor_limit(uint64_t wanted);

// Other programs

/// Starts a program without arguments, in a session of its own: with a pipe to its standard input,
/// nothing of its standard output, a pipe from its standard error stream, the signals as they are by
/// default, and a descriptor that is readable when it has ended (pidfd_open(2)). Callable with other
/// threads about: all other descriptors are close-on-exec.
int fdp_spawn(
    const char *path, char *const environment[], int *input, int *errors, pid_t *pid,
    int *exit);
/// Waits until one of two descriptors can be read, or is broken: 1, 2 or both.
int fdp_poll_either(int first, int second);
/// Kills all processes of a group; its leader must not have been reaped.
void fdp_kill_group(pid_t leader);
/// Waits for the end of a child: its exit code, or 256 and the number of the signal that ended it.
int fdp_reap(pid_t pid);

// Memory: zeroed pages that cost nothing until they are touched, or null.

void *fdp_map_lazily(size_t bytes);
void fdp_unmap(void *memory, size_t bytes);

// Threads

typedef void (*fdp_thread_body)(void *context);
/// Starts a thread that has every signal blocked. `name` is cut to 15 bytes.
int fdp_thread_start(pthread_t *thread, const char *name, fdp_thread_body body, void *context);
void fdp_thread_join(pthread_t thread);
/// Writes the calling thread's name, at most 15 bytes, with a null byte at its end.
void fdp_thread_name(char name[16]);
/// Pins the calling thread to one processor.
int fdp_thread_pin(int processor);
int fdp_processor_count(void);
uint64_t fdp_monotonic_nanoseconds(void);
/// The event loop that runs on this thread, or null. Out of line on purpose: an inlined
/// thread-local address may be cached across a suspension point, after which the code runs on
/// another thread.
void *fdp_current_loop(void);
void fdp_set_current_loop(void *loop);
/// Which Swift task the calling thread runs; null if none. To be compared only.
const void *fdp_current_task(void);
/// True in a child that was forked after the first call of fdp_watch_forks and has not called exec.
bool fdp_is_forked_child(void);
void fdp_watch_forks(void);

#endif
