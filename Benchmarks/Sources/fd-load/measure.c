// A histogram of durations with 64 buckets to the octave: an error of 1.6 % at most.

#define _GNU_SOURCE
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { buckets = 64 * 64 };

static unsigned histogram[buckets];
static long noted;
static uint64_t longest, began;
static double processor_began;

uint64_t load_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static double processor_seconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

static int bucket(uint64_t duration) {
  if (duration < 64) return duration;
  int magnitude = 63 - __builtin_clzll(duration);
  return (magnitude - 5) << 6 | (duration >> (magnitude - 6) & 63);
}

static uint64_t least(int bucket) {
  if (bucket < 64) return bucket;
  return (64ull + (bucket & 63)) << ((bucket >> 6) - 1);
}

static double quantile_microseconds(double quantile) {
  long wanted = noted * quantile;
  long count = 0;
  for (int i = 0; i < buckets; i++) {
    count += histogram[i];
    if (count > wanted) return least(i) / 1e3;
  }
  return 0;
}

void load_begin(void) {
  memset(histogram, 0, sizeof histogram);
  noted = 0;
  longest = 0;
  processor_began = processor_seconds();
  began = load_now();
}

void load_note(uint64_t duration) {
  histogram[bucket(duration)]++;
  noted++;
  if (duration > longest) longest = duration;
}

void load_report(long errors) {
  double seconds = (load_now() - began) / 1e9;
  printf(
      "{\"n\":%ld,\"secs\":%.4f,\"rps\":%.0f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
      "\"max\":%.1f,\"err\":%ld,\"ccpu\":%.3f}\n",
      noted, seconds, noted / seconds, quantile_microseconds(.5), quantile_microseconds(.99),
      quantile_microseconds(.999), longest / 1e3, errors, processor_seconds() - processor_began);
  fflush(stdout);
}

static void say_ready(void) {
  puts("ready");
  fflush(stdout);
}

void load_pass_gate(void) {
  if (!load.is_gated) return;
  say_ready();
  char byte;
  do {
    if (read(STDIN_FILENO, &byte, 1) != 1) load_fail("the input ended before it said to go on");
  } while (byte != '\n');
}

void load_hold(void) {
  char bytes[64];
  while (read(STDIN_FILENO, bytes, sizeof bytes) > 0) continue;
}

void load_idle(void) {
  for (long i = 0; i < load.connections; i++) {
    struct connection connection;
    if (load.is_silent) {
      load_dial(0);
    } else {
      load_open(&connection);
    }
  }
  say_ready();
  load_hold();
}
