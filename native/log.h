/*
 * The container's log, behind one small interface: the bytes of a stream go in, and a driver, one file each, keeps them.
 *
 *   log_k8s.c, log_json.c ──▶ log_file.c (one file and those before it)       log_journal.c ──▶ systemd-journald
 *
 * What is read is written at once, so nothing waits in a monitor that may die. Output that doesn't end its line is written
 * as a piece, whose rest follows in the next entry of its stream.
 */
#pragma once

#include "common.h"
#include "plan.h"

#include <time.h>

enum log_stream { LOG_STDOUT = 0, LOG_STDERR = 1 };

enum { LOG_CHUNK = 64 * 1024 }; /* what one write of a log has at most: a pipe's whole content */

struct log {
  const struct log_plan *plan; /* NULL: there is no log, what comes is dropped */
  const struct log_driver *driver;
  int fd; /* the file, or the socket to the journal */
  uint64_t lost_lines; /* that could not be written: the disk is full or gone, or no journald listens */
  bool lost; /* some were, since somebody last looked */
  bool amid_line[2]; /* by stream: what came last has no newline at its end */

  /* log_file.c */
  int directory;
  const char *name; /* in the directory */
  uint64_t size, oldest, newest; /* of the file; numbers of those before it, oldest > newest: there are none */
  bool rotates;
  /* log_json.c: the begin of a character whose rest is still to come */
  uint8_t held[2][4];
  size_t held_size[2];
  /* log_journal.c */
  uint64_t waits_after; /* ms: until then nothing waits for a journald that doesn't read */
};

/* How a log is kept. */
struct log_driver {
  int (*open)(struct log *log);
  /* Keep 1 to LOG_CHUNK bytes of a stream; there is room for one byte behind them. What fails is counted. */
  void (*write)(struct log *log, enum log_stream stream, char *bytes, size_t size);
  /* Nothing more comes. NULL: nothing is held back. */
  void (*end)(struct log *log);
};

extern const struct log_driver log_k8s, log_json, log_journal;

/* -1: the log can't be kept. The plan must outlive it. */
int log_open(struct log *log, const struct log_plan *plan);

/* Bytes of a stream came; there is room for one byte behind them, which is written to. Never fails. */
void log_write(struct log *log, enum log_stream stream, char *bytes, size_t size);

void log_end(struct log *log);

/* The next run begins: what it says is no part of a line that the last one left open. */
void log_end_lines(struct log *log);

/* Were lines lost that the container must not outlive? Asked once for each loss. */
bool log_demands_end(struct log *log);

/* For the drivers. */
void log_lose(struct log *log, uint64_t lines);

struct log_line {
  const char *text;
  size_t size; /* without its newline */
  bool whole; /* it ends here */
};
/* The next line of what lies between `*at` and `end`; false: there is none. */
bool log_next_line(const char **at, const char *end, struct log_line *line);

/* Of log_file.c: what holds entries, each with a newline at its end and nowhere else. */
int log_file_open(struct log *log);
/* Room for one entry of up to LOG_ENTRY bytes, which counts once it is told how long it is. */
enum { LOG_ENTRY = 6 * LOG_CHUNK + 16 * 1024 };
char *log_file_room(struct log *log, size_t most);
void log_file_add(size_t size);
/* Write what was added, and begin a new file where this one is full. */
void log_file_settle(struct log *log);

/* "2026-11-24T14:21:39.123456789", of UTC. The room is more than that, for years that never come. */
enum { TIME_SIZE = 64 };
void format_time(char text[TIME_SIZE], struct timespec time);
