// What the C programs here have in common: their arguments, their listening sockets, their threads.
// The Swift servers take the limit of descriptors from here.

#ifndef BENCH_H
#define BENCH_H

/// One of the numbers that a program is given, by its name and its bounds.
struct bench_argument {
  const char *name;
  long least;
  long most;
};

/// Reads `count` numbers, which are all of the arguments. Ends the process with 2 and a line that
/// says what to give if they are not right.
void bench_arguments(
    int argc, char **argv, int count, const struct bench_argument *arguments, long *values);

/// Reads one number. Ends the process as `bench_arguments` does.
long bench_number(const char *program, const char *text, struct bench_argument argument);

/// Ends the process with 1 and a line that says what could not be done, and errno in words.
_Noreturn void bench_fail(const char *what);

/// Raises the soft limit of open descriptors to the hard one.
void bench_raise_descriptor_limit(void);

/// A listening TCP socket on 127.0.0.1, one of several at its port (SO_REUSEPORT). TCP_NODELAY is
/// set, which the accepted sockets inherit. `flags` are of socket(2), beside SOCK_CLOEXEC.
int bench_listen(int port, int flags);

/// Runs a body that does not return in so many threads, of which the caller's is one.
_Noreturn void bench_run(long threads, void (*body)(void));

#endif
