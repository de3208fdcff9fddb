/* Log lines, as bytes in a file. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "log.h"
#include "test.h"

static char content[2 << 20];

/* What the log holds, without the times. */
static const char *written(int fd) {
  static char text[2 << 20];
  ssize_t size = pread(fd, content, sizeof(content) - 1, 0);
  content[size < 0 ? 0 : size] = '\0';
  char *out = text;
  for (char *line = content; *line;) {
    char *end = strchr(line, '\n');
    if (!end) return "a line without its end";
    *end = '\0';
    if (strlen(line) < 36) return "a line without its time";
    out += sprintf(out, "%s|", line + 36);
    line = end + 1;
  }
  *out = '\0';
  return text;
}

static void say(struct log *log, const char *stream, const char *text) {
  char *bytes = malloc(strlen(text) + 2);
  if (!bytes) abort();
  strcpy(bytes, text);
  log_write(log, stream, bytes, strlen(text));
  free(bytes);
}

static bool wrote(const char *text, const char *expected) {
  struct log log = {.fd = memfd_create("log", MFD_CLOEXEC)};
  say(&log, "stdout", text);
  bool same = strcmp(written(log.fd), expected) == 0 && log.lost_lines == 0;
  close(log.fd);
  return same;
}

void test_log(void) {
  char text[TIME_SIZE];
  format_time(text, (struct timespec){.tv_sec = 0, .tv_nsec = 5});
  check(strcmp(text, "1970-01-01T00:00:00.000000005+00:00") == 0, "the epoch");
  format_time(text, (struct timespec){.tv_sec = 951782399, .tv_nsec = 999999999});
  check(strcmp(text, "2000-02-28T23:59:59.999999999+00:00") == 0, "before a leap day");
  format_time(text, (struct timespec){.tv_sec = 951782400});
  check(strcmp(text, "2000-02-29T00:00:00.000000000+00:00") == 0, "a leap day");
  bool same = true;
  for (time_t second = 0; second < 5000000000 && same; second += 39916801) {
    char expected[64];
    struct tm parts;
    gmtime_r(&second, &parts);
    strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000000+00:00", &parts);
    format_time(text, (struct timespec){.tv_sec = second});
    same = strcmp(text, expected) == 0;
  }
  check(same, "all times are those of gmtime(3)");

  check(wrote("one\n", "stdout F one|"), "a line");
  check(wrote("one\ntwo\n", "stdout F one|stdout F two|"), "two");
  check(wrote("\n\n", "stdout F |stdout F |"), "empty ones");
  check(wrote("half", "stdout P half|"), "a piece");
  check(wrote("one\nhalf", "stdout F one|stdout P half|"), "a line and a piece");

  struct log log = {.fd = memfd_create("log", MFD_CLOEXEC)};
  char *many = calloc(65537, 1), *expected = calloc(65537, 20);
  if (!many || !expected) abort();
  for (int i = 0; i < 65536; i++) many[i] = i % 2 ? '\n' : 'x';
  for (int i = 0; i < 32768; i++) memcpy(expected + 11 * i, "stdout F x|", 11);
  log_write(&log, "stdout", many, 65536);
  /* 32768 lines are more than one writev(2) takes. */
  check(strcmp(written(log.fd), expected) == 0 && log.lost_lines == 0, "a whole pipe of short lines");
  close(log.fd);
  free(many);
  free(expected);

  log.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  say(&log, "stderr", "one\ntwo\nthree");
  check(log.lost_lines == 3, "lines for a full disk are counted");
  close(log.fd);

  /* A disk that is full in the middle of a line: what is torn is cut off and counted. */
  log = (struct log){.fd = memfd_create("log", MFD_CLOEXEC)};
  say(&log, "stdout", "fits\n");
  struct rlimit before, limit;
  getrlimit(RLIMIT_FSIZE, &before);
  limit = before;
  limit.rlim_cur = (rlim_t)lseek(log.fd, 0, SEEK_END) + 60;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  say(&log, "stdout", "too\nmuch for what is left of it\nand more\n");
  setrlimit(RLIMIT_FSIZE, &before);
  check(log.lost_lines == 2, "lines that do not fit are counted");
  check(strcmp(written(log.fd), "stdout F fits|stdout F too|") == 0, "and what is there is whole");
  lseek(log.fd, 0, SEEK_END);
  say(&log, "stdout", "again\n");
  check(strcmp(written(log.fd), "stdout F fits|stdout F too|stdout F again|") == 0, "with room it goes on");
  close(log.fd);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) abort();
  log = (struct log){.fd = memfd_create("log", MFD_CLOEXEC)};
  errno = 0;
  check(!log_pump(&log, "stdout", ends[0]) && errno == EAGAIN, "a pipe that has nothing now");
  if (write(ends[1], "last\n", 5) != 5) abort();
  close(ends[1]);
  check(log_pump(&log, "stdout", ends[0]) && strcmp(written(log.fd), "stdout F last|") == 0, "the rest of a pipe");
  errno = EAGAIN;
  check(!log_pump(&log, "stdout", ends[0]) && errno != EAGAIN, "a pipe that has ended, whatever failed before");
  close(ends[0]);
  close(log.fd);

  log = (struct log){.fd = -1};
  say(&log, "stdout", "nowhere\n");
  check(log.lost_lines == 0, "without a log nothing is lost");
}
