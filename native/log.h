/*
 * The container's log, in the k8s-file format: `2026-11-24T14:21:39.123456789+00:00 stdout F text`, where F is a line
 * that ends there and P one that goes on. What is read is written at once, so nothing waits in a monitor that may die.
 * The pieces of a P line are bytes: a character may be cut in two.
 */
#pragma once

#include "common.h"

#include <time.h>

struct log {
  int fd; /* -1: there is no log, what comes is dropped */
  uint64_t lost_lines; /* that could not be written: the disk is full or gone */
};

int log_open(struct log *log, const char *path);

/*
 * Write a chunk of one stream, "stdout" or "stderr"; `bytes` has room for one byte more, which is written to. Never
 * fails: what can't be written is counted.
 */
void log_write(struct log *log, const char *stream, char *bytes, size_t size);

/*
 * Read what a pipe has, one chunk, and log it. False: the pipe has ended; or, with errno EAGAIN, a non-blocking one has
 * nothing now.
 */
bool log_pump(struct log *log, const char *stream, int pipe);

/* For the tests: "2026-11-24T14:21:39.123456789+00:00". The room is more than that, for years that never come. */
enum { TIME_SIZE = 64 };
void format_time(char text[TIME_SIZE], struct timespec time);
