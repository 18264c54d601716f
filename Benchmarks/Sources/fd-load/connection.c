// A connection to the server: how it is made, what is asked on it, and where an answer ends.

#define _GNU_SOURCE
#include "load.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { source_addresses = 4, most_head = 4096 };

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char last_request[] =
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Binds to 127.0.N.2 to 127.0.N.5 in turn, where N is the process's.
static void bind_source(int fd) {
  static unsigned turn;
  int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  unsigned network = INADDR_LOOPBACK - 1 + ((1 + getpid() % 250) << 8);
  struct sockaddr_in address = {
      .sin_family = AF_INET,
      .sin_addr.s_addr = htonl(network + 2 + turn++ % source_addresses),
  };
  if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
    load_fail("cannot bind to a loopback address: %s", strerror(errno));
  }
}

int load_dial(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) load_fail("cannot have a socket: %s", strerror(errno));
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bind_source(fd);
  struct sockaddr_in server = {
      .sin_family = AF_INET,
      .sin_port = htons(load.port),
      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  };
  if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) {
    load_fail("cannot connect to 127.0.0.1:%d: %s", load.port, strerror(errno));
  }
  return fd;
}

/// The bytes of an echo: no two beside each other are the same.
static const char *echo(void) {
  static char *bytes;
  if (!bytes) {
    bytes = malloc(load.size);
    for (int i = 0; i < load.size; i++) bytes[i] = 'a' + i % 26;
  }
  return bytes;
}

bool load_ask(struct connection *connection, bool is_last) {
  const char *bytes = is_last ? last_request : request;
  ssize_t count = is_last ? sizeof last_request - 1 : sizeof request - 1;
  connection->left = -1;
  if (!load.is_http) {
    bytes = echo();
    count = connection->left = load.size;
  }
  ssize_t sent = send(connection->fd, bytes, count, MSG_NOSIGNAL);
  if (sent >= 0 && sent < count) load_fail("the socket took %zd of %zd bytes", sent, count);
  return sent == count;
}

// MARK: Answers

static long content_length(const char *head, const char *end) {
  for (const char *line = head; line < end;) {
    const char *next = memchr(line, '\n', end - line);
    if (!next) break;
    if (next - line > 15 && !strncasecmp(line, "content-length:", 15)) return atol(line + 15);
    line = next + 1;
  }
  load_fail("an answer without Content-Length");
}

/// Returns the length of the head; 0 if it is not complete.
static int read_head(struct connection *connection, const char *bytes, int count) {
  const char *blank = memmem(bytes, count, "\r\n\r\n", 4);
  if (!blank) {
    if (count > most_head) load_fail("an answer's head of more than %d bytes", most_head);
    return 0;
  }
  if (memcmp(bytes, "HTTP/1.1 200 ", 13)) {
    int line = (const char *)memchr(bytes, '\r', count) - bytes;
    load_fail("an answer that is not 200: %.*s", line < 80 ? line : 80, bytes);
  }
  connection->left = content_length(bytes, blank + 2);
  return blank + 4 - bytes;
}

/// Adds bytes to a head that did not come whole. Returns how many of them belong to the head.
static int continue_head(struct connection *connection, const char *bytes, int count) {
  int before = connection->part_count;
  if (!connection->part) connection->part = malloc(2 * most_head);
  int taken = count < most_head ? count : most_head;
  memcpy(connection->part + before, bytes, taken);
  int length = read_head(connection, connection->part, before + taken);
  if (length == 0) {
    connection->part_count = before + taken;
    return taken;
  }
  connection->part_count = 0;
  return length - before;
}

bool load_take(struct connection *connection, const char *bytes, ssize_t count) {
  if (connection->left < 0) {
    int head = connection->part_count ? 0 : read_head(connection, bytes, count);
    if (head == 0) head = continue_head(connection, bytes, count);
    count -= head;
    if (connection->left < 0) return false;
  }
  connection->left -= count;
  if (connection->left < 0) load_fail("the server sends more than was asked for");
  return connection->left == 0;
}

void load_open(struct connection *connection) {
  *connection = (struct connection){.fd = load_dial(0)};
  struct timeval patience = {.tv_sec = 5};
  setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (!load_ask(connection, false)) load_fail("cannot send: %s", strerror(errno));
  static char bytes[65536];
  int total = 0;
  bool is_complete = false;
  while (!is_complete) {
    ssize_t count = recv(connection->fd, bytes + total, sizeof bytes - total, 0);
    if (count == 0) load_fail("the server closes a connection instead of answering");
    if (count < 0) load_fail("no answer: %s", strerror(errno));
    is_complete = load_take(connection, bytes + total, count);
    total += count;
    if (total == sizeof bytes && !is_complete) load_fail("an answer of more than 64 KiB");
  }
  if (!load.is_http && memcmp(bytes, echo(), load.size)) load_fail("an echo that differs");
}
