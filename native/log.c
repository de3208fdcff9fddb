#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum { CHUNK = 64 * 1024, PARTS = 512 }; /* a pipe's whole content; two parts a line */

int log_open(struct log *log, const char *path) {
  log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0640);
  return log->fd < 0 ? -1 : 0;
}

void format_time(char text[TIME_SIZE], struct timespec time) {
  /* gmtime(3) would read the time zone's file for it. Days since 0000-03-01, so that a leap day ends its year. */
  int64_t days = time.tv_sec / 86400, rest = time.tv_sec % 86400;
  int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * of_year + 2) / 153;
  int day = (int)(of_year - (153 * shifted_month + 2) / 5 + 1);
  int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  int year = (int)(year_of_era + era * 400 + (month <= 2));
  snprintf(text, TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%09ld+00:00", year % 10000, month, day, (int)(rest / 3600),
           (int)(rest / 60 % 60), (int)(rest % 60), time.tv_nsec);
}

/* How many of the lines are not whole in the file, when only `written` bytes of the parts are; cut a torn one off. */
static void cut_back(struct log *log, const struct iovec *parts, int count, size_t written) {
  size_t whole = 0;
  for (int i = 0; i < count; i += 2) {
    size_t line = parts[i].iov_len + parts[i + 1].iov_len;
    if (whole + line > written) {
      log->lost_lines += (uint64_t)(count - i) / 2;
      break;
    }
    whole += line;
  }
  struct stat status;
  if (written > whole && fstat(log->fd, &status) == 0 && status.st_size >= (off_t)(written - whole))
    if (ftruncate(log->fd, status.st_size - (off_t)(written - whole)) < 0) return;
}

static void flush(struct log *log, struct iovec *parts, int count) {
  size_t total = 0, written = 0;
  if (count == 0) return;
  for (int i = 0; i < count; i++) total += parts[i].iov_len;
  ssize_t size;
  do size = writev(log->fd, parts, count);
  while (size < 0 && errno == EINTR);
  if (size > 0) written = (size_t)size;
  /* A file takes less than all only when it is about to fail; the rest is not tried again, as that may block anew. */
  if (written < total) cut_back(log, parts, count, written);
}

void log_write(struct log *log, const char *stream, char *bytes, size_t size) {
  if (log->fd < 0 || size == 0) return;
  char full[TIME_SIZE + 16], partial[TIME_SIZE + 16], stamp[TIME_SIZE];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  format_time(stamp, now);
  size_t head = (size_t)snprintf(full, sizeof(full), "%s %s F ", stamp, stream);
  snprintf(partial, sizeof(partial), "%s %s P ", stamp, stream);

  /* The text is written from where it was read: per line a head, then text and newline, which the last may lack. */
  struct iovec parts[PARTS];
  int count = 0;
  bool ends = bytes[size - 1] == '\n';
  if (!ends) bytes[size++] = '\n';
  for (char *end = bytes + size; bytes < end;) {
    char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
    char *start = newline + 1 == end && !ends ? partial : full;
    if (count == PARTS) {
      flush(log, parts, count);
      count = 0;
    }
    parts[count++] = (struct iovec){.iov_base = start, .iov_len = head};
    parts[count++] = (struct iovec){.iov_base = bytes, .iov_len = (size_t)(newline + 1 - bytes)};
    bytes = newline + 1;
  }
  flush(log, parts, count);
}

bool log_pump(struct log *log, const char *stream, int pipe) {
  static char chunk[CHUNK + 1];
  ssize_t size;
  do size = read(pipe, chunk, CHUNK);
  while (size < 0 && errno == EINTR);
  if (size == 0) errno = 0;
  if (size <= 0) return false;
  log_write(log, stream, chunk, (size_t)size);
  return true;
}
