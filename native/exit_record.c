#include "exit_record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* On disk it always has this size, filled up with blanks, so that its room can be kept from the start. */
enum { RECORD_SIZE = 512 };

static int temporary_name(char name[PATH_MAX], const char *path) {
  int size = snprintf(name, PATH_MAX, "%s.new", path);
  if (size >= 0 && size < PATH_MAX) return 0;
  errno = ENAMETOOLONG;
  return -1;
}

/* Not truncated first, which would give the room back. Returns a descriptor. */
static int write_temporary(const char *temporary, const char text[RECORD_SIZE]) {
  autoclose int fd = open(temporary, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || write_all(fd, text, RECORD_SIZE) < 0) return -1;
  return steal_fd(&fd);
}

static int give_up(const char *temporary) {
  int saved = errno;
  unlink(temporary);
  errno = saved;
  return -1;
}

int exit_record_reserve(const char *path) {
  char temporary[PATH_MAX], blanks[RECORD_SIZE];
  memset(blanks, ' ', sizeof(blanks));
  if (temporary_name(temporary, path) < 0) return -1;
  autoclose int fd = write_temporary(temporary, blanks);
  return fd < 0 ? give_up(temporary) : 0;
}

void exit_record_forget(const char *path) {
  char temporary[PATH_MAX];
  if (temporary_name(temporary, path) == 0) unlink(temporary);
}

void exit_record_renew(const char *path) {
  char temporary[PATH_MAX];
  if (temporary_name(temporary, path) == 0) rename(path, temporary);
}

int exit_record_write(const char *path, const struct exit_record *record, bool durable) {
  char temporary[PATH_MAX], text[RECORD_SIZE], signal[16] = "null";
  if (temporary_name(temporary, path) < 0) return -1;
  if (record->signal) snprintf(signal, sizeof(signal), "%" PRIu32, record->signal);
  int size = snprintf(text, sizeof(text),
                      "{\"exitCode\":%" PRIu32 ",\"signal\":%s,\"oomKilled\":%s,\"startedAt\":%" PRIu64
                      ",\"finishedAt\":%" PRIu64 ",\"lostLogLines\":%" PRIu64
                      ",\"restartCount\":%" PRIu32 ",\"stoppedByUser\":%s}\n",
                      record->exit_code, signal, record->oom_killed ? "true" : "false", record->started_at,
                      record->finished_at, record->lost_lines, record->restarts, record->by_user ? "true" : "false");
  memset(text + size, ' ', sizeof(text) - (size_t)size);
  autoclose int fd = write_temporary(temporary, text);
  if (fd < 0 || (durable && fsync(fd) < 0) || rename(temporary, path) < 0) return give_up(temporary);
  return 0;
}
