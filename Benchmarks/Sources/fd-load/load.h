// What the parts of the load generator share.

#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

// What is asked for

struct load {
  int port;
  bool is_http;
  /// Bytes of an echo.
  int size;
  long connections;
  /// How many requests are measured, or connections if each has one.
  long total;
  /// How many come before those.
  long warm_up;
  /// How long the warm-up may take, and then the measured part, in seconds.
  long limit;
  /// Says when it is warm and waits for a line of input; in the end it holds the connections until
  /// the input ends.
  bool is_gated;
  /// Idle connections send no request.
  bool is_silent;
};

extern struct load load;

/// Ends the process with 3 and a line that says what went wrong.
_Noreturn void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Connections

struct connection {
  int fd;
  /// Bytes of the answer that have not come; -1 as long as its head is not complete.
  long left;
  /// When the request was sent, or the connection begun, in nanoseconds.
  uint64_t began;
  /// The head of an answer as far as it has come, if it did not come whole.
  char *part;
  int part_count;
};

uint64_t load_now(void);

/// Connects to the server, from one of several addresses, so that ports do not run out.
/// `flags` are of socket(2).
int load_dial(int flags);
/// Sends a request. `is_last`: the server is to close the connection after its answer. Returns
/// whether the socket took it.
bool load_ask(struct connection *connection, bool is_last);

/// Takes bytes of an answer. Returns whether it is complete with them.
bool load_take(struct connection *connection, const char *bytes, ssize_t count);
/// Connects, asks, and takes the answer; an echo is compared.
void load_open(struct connection *connection);

// Events, one by one: edge-triggered

enum { load_most_events = 256 };

/// The events of a connection point to it from now on.
void load_watch(struct connection *connection, unsigned events);
/// When a part that begins now has to be done.
uint64_t load_deadline(void);
/// Waits for events, of which there is room for `load_most_events`. Ends the process if none come
/// for long, or the deadline passes; `done` is how far it has come.
int load_wait(struct epoll_event *events, uint64_t deadline, long done);

// Measuring

/// Begins a measured part.
void load_begin(void);
/// So long has one taken, in nanoseconds.
void load_note(uint64_t duration);
/// Prints what was measured since the beginning as a line of JSON: n, secs, rps; p50, p99, p999 and
/// max in microseconds; err; ccpu, the processor time of this program in seconds.
void load_report(long errors);

/// Has the input's next line come, after "ready" was printed; nothing without the option.
void load_pass_gate(void);
/// Waits until the input ends.
void load_hold(void);

// Kinds of load

/// One request at a time on each connection, which stays.
void load_keep_alive(void);
/// Each connection has one request.
void load_churn(void);
/// Connections that have had one request, or none, and rest.
void load_idle(void);

#endif
