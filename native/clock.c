#include "clock.h"

#include <limits.h>
#include <time.h>

static uint64_t read_clock(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t now_ms(void) {
  return read_clock(CLOCK_REALTIME);
}

uint64_t clock_ms(void) {
  return read_clock(CLOCK_MONOTONIC);
}

int clock_poll(struct pollfd *polled, nfds_t count, int64_t timeout) {
  return poll(polled, count, timeout < INT_MAX ? (int)timeout : INT_MAX);
}
