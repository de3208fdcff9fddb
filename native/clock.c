#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
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

/* poll(2) takes no more entries than RLIMIT_NOFILE, those without a descriptor counted: then those alone that have one. */
static int poll_open(struct pollfd *polled, nfds_t count, int timeout) {
  struct pollfd *open = calloc(count, sizeof(*open));
  if (!open) return -1;
  nfds_t kept = 0;
  for (nfds_t i = 0; i < count; i++)
    if (polled[i].fd >= 0) open[kept++] = polled[i];
  int ready = poll(open, kept, timeout);
  kept = 0;
  for (nfds_t i = 0; i < count; i++) polled[i].revents = polled[i].fd >= 0 && ready > 0 ? open[kept++].revents : 0;
  int saved = errno;
  free(open);
  errno = saved;
  return ready;
}

int clock_poll(struct pollfd *polled, nfds_t count, int64_t timeout) {
  int most = timeout < INT_MAX ? (int)timeout : INT_MAX;
  int told = poll(polled, count, most);
  return told < 0 && errno == EINVAL ? poll_open(polled, count, most) : told;
}
