// As little HTTP/1.1 as a server can do with: it finds the ends of heads, and sees whether the
// connection goes on. Nothing is validated, and a request has no body.

#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define BENCH_HEAD \
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\nServer: c\r\n"
#define BENCH_BODY "\r\nHello, World!"

static const char bench_answer[] = BENCH_HEAD BENCH_BODY;
static const char bench_last_answer[] = BENCH_HEAD "Connection: close\r\n" BENCH_BODY;

enum {
  bench_answer_length = sizeof bench_answer - 1,
  bench_last_answer_length = sizeof bench_last_answer - 1,
};

/// Looks at one line of a head behind the first.
static inline bool bench_says_close(const char *line, int length) {
  if (length < 11 || (*line | 32) != 'c' || strncasecmp(line, "connection:", 11)) return false;
  line += 11, length -= 11;
  while (length && *line == ' ') line++, length--;
  return length >= 5 && !strncasecmp(line, "close", 5);
}

/// Returns the length of the request's head; 0 if it is not complete, -1 if it is none.
/// `is_last` becomes true if no other request follows on the connection.
static inline int bench_read_request(const char *bytes, int count, bool *is_last) {
  const char *end = bytes + count;
  const char *line = bytes;
  for (bool is_first = true; line < end;) {
    const char *feed = memchr(line, '\n', end - line);
    if (!feed) return 0;
    int length = feed - line;
    if (length && line[length - 1] == '\r') length--;
    if (is_first && length) {
      if (length < 14 || memcmp(line + length - 9, " HTTP/1.", 8)) return -1;
      if (line[length - 1] == '0') *is_last = true;
      is_first = false;
    } else if (length == 0) {
      if (!is_first) return feed + 1 - bytes;
    } else if (bench_says_close(line, length)) {
      *is_last = true;
    }
    line = feed + 1;
  }
  return 0;
}

/// Answers the complete requests, as far as there is room. Returns how many bytes those have.
static inline int bench_serve(
    const char *bytes, int count, char *out, int capacity, int *out_count, bool *is_last) {
  int used = 0;
  int length = 0;
  while (used < count && !*is_last && length + bench_last_answer_length <= capacity) {
    int head = bench_read_request(bytes + used, count - used, is_last);
    if (head == 0) break;
    if (head < 0) {
      *is_last = true;
      used = count;
      break;
    }
    used += head;
    const char *answer = *is_last ? bench_last_answer : bench_answer;
    int answer_length = *is_last ? bench_last_answer_length : bench_answer_length;
    memcpy(out + length, answer, answer_length);
    length += answer_length;
  }
  *out_count = length;
  return used;
}

#endif
