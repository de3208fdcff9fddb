/*
 * The format of the Kubernetes CRI, Podman's default: `2026-11-24T14:21:39.123456789+00:00 stdout F text`, where F is a
 * line that ends there and P one that goes on. The pieces of a P line are bytes: a character may be cut in two.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"

static void write_entries(struct log *log, enum log_stream stream, char *bytes, size_t size) {
  char stamp[TIME_SIZE], head[TIME_SIZE + 32];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  format_time(stamp, now);
  size_t length = (size_t)snprintf(head, sizeof(head), "%s+00:00 %s F ", stamp, stream == LOG_STDOUT ? "stdout" : "stderr");
  struct log_line line;
  for (const char *at = bytes, *end = bytes + size; log_next_line(&at, end, &line);) {
    char *out = log_file_room(log, length + line.size + 1);
    memcpy(out, head, length);
    if (!line.whole) out[length - 2] = 'P';
    memcpy(out + length, line.text, line.size);
    out[length + line.size] = '\n';
    log_file_add(length + line.size + 1);
  }
  log_file_settle(log);
}

const struct log_driver log_k8s = {.open = log_file_open, .write = write_entries};
