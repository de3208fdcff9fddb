#include "exit_record.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

int exit_record_write(const char *path, const struct exit_record *record, bool durable) {
  char temporary[PATH_MAX], text[512], signal[16] = "null";
  int size = snprintf(temporary, sizeof(temporary), "%s.new", path);
  if (size < 0 || (size_t)size >= sizeof(temporary)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  if (record->signal) snprintf(signal, sizeof(signal), "%" PRIu32, record->signal);
  size = snprintf(text, sizeof(text),
                  "{\"exitCode\":%" PRIu32 ",\"signal\":%s,\"oomKilled\":%s,\"startedAt\":%" PRIu64
                  ",\"finishedAt\":%" PRIu64 ",\"lostLogLines\":%" PRIu64 "}\n",
                  record->exit_code, signal, record->oom_killed ? "true" : "false", record->started_at,
                  record->finished_at, record->lost_lines);
  autoclose int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  if (write_all(fd, text, (size_t)size) < 0 || (durable && fsync(fd) < 0) || rename(temporary, path) < 0) {
    int saved = errno;
    unlink(temporary);
    errno = saved;
    return -1;
  }
  return 0;
}
