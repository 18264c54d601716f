// A load for the servers here: one thread, as many connections as are asked for.

#define _GNU_SOURCE
#include "bench.h"
#include "load.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct load load = {.limit = 60, .size = 64};

static const char usage[] =
    "usage: fd-load echo PORT CONNECTIONS TOTAL SIZE [OPTION ...]\n"
    "       fd-load http PORT CONNECTIONS TOTAL [OPTION ...]\n"
    "       fd-load churn PORT CONNECTIONS TOTAL http|echo [OPTION ...]\n"
    "       fd-load idle PORT CONNECTIONS http|echo [--silent]\n"
    "\n"
    "  echo   SIZE bytes there and back, one message at a time on each connection\n"
    "  http   GET /, one request at a time on each connection\n"
    "  churn  connect, one request, close; as many at a time as CONNECTIONS\n"
    "  idle   one request on each connection, then \"ready\"; holds them until the input ends\n"
    "\n"
    "  --warm-up COUNT  requests, or connections of churn, that come first and are not measured\n"
    "  --gate           prints \"ready\" when it is warm and waits for a line of input; in the\n"
    "                   end holds the connections until the input ends\n"
    "  --limit SECONDS  for the warm-up, and for the rest (60)\n"
    "  --silent         idle connections send nothing\n"
    "\n"
    "Prints a line of JSON: n requests in secs, rps; p50, p99, p999 and max in microseconds; err\n"
    "connections that failed; ccpu, seconds of processor time that the load itself took.\n";

_Noreturn void load_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("fd-load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  exit(3);
}

static long number(const char *text, const char *name, long least, long most) {
  return bench_number("fd-load", text, (struct bench_argument){name, least, most});
}

static _Noreturn void refuse(void) {
  fputs(usage, stderr);
  exit(2);
}

static void read_options(int argc, char **argv) {
  enum { warm_up = 1, gate, limit, silent, help };
  static const struct option options[] = {
      {"warm-up", required_argument, NULL, warm_up}, {"gate", no_argument, NULL, gate},
      {"limit", required_argument, NULL, limit},     {"silent", no_argument, NULL, silent},
      {"help", no_argument, NULL, help},             {NULL, 0, NULL, 0},
  };
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
    switch (option) {
      case warm_up:
        load.warm_up = number(optarg, "--warm-up", 0, 1000000000);
        break;
      case gate:
        load.is_gated = true;
        break;
      case limit:
        load.limit = number(optarg, "--limit", 1, 86400);
        break;
      case silent:
        load.is_silent = true;
        break;
      case help:
        fputs(usage, stdout);
        exit(0);
      default:
        refuse();
    }
  }
}

static bool is_http(const char *text) {
  if (strcmp(text, "http") && strcmp(text, "echo")) refuse();
  return !strcmp(text, "http");
}

int main(int argc, char **argv) {
  // Moves what is no option to the end.
  read_options(argc, argv);
  int count = argc - optind;
  char **words = argv + optind;
  if (count < 3) refuse();
  load.port = number(words[1], "PORT", 1, 65535);
  load.connections = number(words[2], "CONNECTIONS", 1, 100000);
  bool is_idle = !strcmp(words[0], "idle");
  if (!is_idle) {
    if (count < 4) refuse();
    load.total = number(words[3], "TOTAL", 1, 1000000000);
  }
  bench_raise_descriptor_limit();
  if (!strcmp(words[0], "echo") && count == 5) {
    load.size = number(words[4], "SIZE", 1, 16384);
    load_keep_alive();
  } else if (!strcmp(words[0], "http") && count == 4) {
    load.is_http = true;
    load_keep_alive();
  } else if (!strcmp(words[0], "churn") && count == 5) {
    load.is_http = is_http(words[4]);
    load_churn();
  } else if (is_idle && count == 4) {
    load.is_http = is_http(words[3]);
    load_idle();
  } else {
    refuse();
  }
  return 0;
}
