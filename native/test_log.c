/* Log lines, as bytes in files. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "test.h"

static char directory[64], path[80];
static struct log_plan plan;

/* A log of its own, in a directory of its own. */
static struct log begin(enum log_kind driver) {
  strcpy(directory, "/tmp/podling-log-XXXXXX");
  if (!mkdtemp(directory)) abort();
  snprintf(path, sizeof(path), "%s/log", directory);
  plan = (struct log_plan){.driver = (uint8_t)driver, .target = path, .fields = ""};
  struct log log = {0};
  if (log_open(&log, &plan) < 0) abort();
  return log;
}

static struct log again(void) {
  struct log log = {0};
  if (log_open(&log, &plan) < 0) abort();
  return log;
}

static void finish(struct log *log) {
  log_end(log);
  close(log->fd);
  close(log->directory);
}

static void clear(void) {
  DIR *files = opendir(directory);
  if (!files) abort();
  for (struct dirent *file; (file = readdir(files));)
    if (file->d_name[0] != '.') unlinkat(dirfd(files), file->d_name, 0);
  closedir(files);
  rmdir(directory);
}

static const char *read_whole(const char *name) {
  static char content[4 << 20];
  char file[128];
  snprintf(file, sizeof(file), "%s/%s", directory, name);
  int fd = open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  ssize_t size = read(fd, content, sizeof(content) - 1);
  content[size < 0 ? 0 : size] = '\0';
  close(fd);
  return content;
}

/* What a file holds, without the times. */
static const char *written(const char *name) {
  static char text[4 << 20];
  char *out = text;
  for (const char *line = read_whole(name); *line;) {
    const char *end = strchr(line, '\n');
    if (!end) return "a line without its end";
    const char *begin = line[0] == '{' ? line : line + 36, *stop = end;
    if (line[0] == '{') stop = memmem(line, (size_t)(end - line), ",\"time\":\"20", 11);
    if (!stop || stop < begin) return "a line without its time";
    memcpy(out, begin, (size_t)(stop - begin));
    out += stop - begin;
    *out++ = '|';
    line = end + 1;
  }
  *out = '\0';
  return text;
}

static void say_bytes(struct log *log, enum log_stream stream, const char *text, size_t size) {
  char *bytes = malloc(size + 1);
  if (!bytes) abort();
  memcpy(bytes, text, size);
  log_write(log, stream, bytes, size);
  free(bytes);
}

static void say(struct log *log, enum log_stream stream, const char *text) {
  say_bytes(log, stream, text, strlen(text));
}

static bool wrote(enum log_kind driver, const char *text, const char *expected) {
  struct log log = begin(driver);
  say(&log, LOG_STDOUT, text);
  finish(&log);
  bool same = strcmp(written("log"), expected) == 0 && log.lost_lines == 0;
  if (!same) printf("# %s\n", written("log"));
  clear();
  return same;
}

static void test_times(void) {
  char text[TIME_SIZE];
  format_time(text, (struct timespec){.tv_sec = 0, .tv_nsec = 5});
  check(strcmp(text, "1970-01-01T00:00:00.000000005") == 0, "the epoch");
  format_time(text, (struct timespec){.tv_sec = 951782399, .tv_nsec = 999999999});
  check(strcmp(text, "2000-02-28T23:59:59.999999999") == 0, "before a leap day");
  format_time(text, (struct timespec){.tv_sec = 951782400});
  check(strcmp(text, "2000-02-29T00:00:00.000000000") == 0, "a leap day");
  bool same = true;
  for (time_t second = 0; second < 5000000000 && same; second += 39916801) {
    char expected[64];
    struct tm parts;
    gmtime_r(&second, &parts);
    strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000000", &parts);
    format_time(text, (struct timespec){.tv_sec = second});
    same = strcmp(text, expected) == 0;
  }
  check(same, "all times are those of gmtime(3)");
}

static void test_k8s(void) {
  check(wrote(LOG_K8S, "one\n", "stdout F one|"), "a line");
  check(wrote(LOG_K8S, "one\ntwo\n", "stdout F one|stdout F two|"), "two");
  check(wrote(LOG_K8S, "\n\n", "stdout F |stdout F |"), "empty ones");
  check(wrote(LOG_K8S, "half", "stdout P half|"), "a piece");
  check(wrote(LOG_K8S, "one\nhalf", "stdout F one|stdout P half|"), "a line and a piece");

  struct log log = begin(LOG_K8S);
  char *many = calloc(65537, 1), *expected = calloc(65537, 20);
  if (!many || !expected) abort();
  for (int i = 0; i < 65536; i++) many[i] = i % 2 ? '\n' : 'x';
  for (int i = 0; i < 32768; i++) memcpy(expected + 11 * i, "stdout F x|", 11);
  log_write(&log, LOG_STDOUT, many, 65536);
  check(strcmp(written("log"), expected) == 0 && log.lost_lines == 0, "a whole pipe of short lines");
  finish(&log);
  clear();
  free(many);
  free(expected);
}

static void test_json(void) {
  check(wrote(LOG_JSON, "one\n", "{\"log\":\"one\\n\",\"stream\":\"stdout\"|"), "JSON: a line");
  check(wrote(LOG_JSON, "half", "{\"log\":\"half\",\"stream\":\"stdout\"|"), "JSON: a piece");
  check(wrote(LOG_JSON, "\"\\<>&\t\x01\r\x7f\n",
              "{\"log\":\"\\\"\\\\\\u003c\\u003e\\u0026\\u0009\\u0001\\r\x7f\\n\",\"stream\":\"stdout\"|"),
        "JSON: what is escaped");
  check(wrote(LOG_JSON, "\xe2\x82\xac\xe2\x80\xa8\xf0\x9f\x98\x80\n",
              "{\"log\":\"\xe2\x82\xac\\u2028\xf0\x9f\x98\x80\\n\",\"stream\":\"stdout\"|"),
        "JSON: characters");
  check(wrote(LOG_JSON, "\xff\xc0\xaf\xed\xa0\x80\xf5\xe2\x82\n",
              "{\"log\":\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\n\",\"stream\":\"stdout\"|"),
        "JSON: what is no UTF-8");

  struct log log = begin(LOG_JSON);
  plan.fields = "{\"tag\":\"t\"}";
  say(&log, LOG_STDOUT, "a\xe2\x82");
  say(&log, LOG_STDERR, "\xf0\x9f");
  say(&log, LOG_STDOUT, "\xac\n");
  finish(&log);
  check(strcmp(written("log"), "{\"log\":\"a\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"t\"}|"
                               "{\"log\":\"\xe2\x82\xac\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"t\"}|"
                               "{\"log\":\"\\ufffd\\ufffd\",\"stream\":\"stderr\",\"attrs\":{\"tag\":\"t\"}|") == 0,
        "JSON: a character in two pieces, and one that never ends");
  clear();

  log = begin(LOG_JSON);
  char *most = calloc(1, LOG_CHUNK + 1);
  if (!most) abort();
  memset(most, 1, LOG_CHUNK);
  log_write(&log, LOG_STDOUT, most, LOG_CHUNK);
  check(strlen(read_whole("log")) > 6 * LOG_CHUNK && log.lost_lines == 0, "JSON: a chunk that grows sixfold");
  finish(&log);
  clear();
  free(most);
}

static void test_full(void) {
  struct log log = {0};
  plan = (struct log_plan){.driver = LOG_K8S, .target = "/dev/full", .fields = "", .stops_when_full = 1};
  if (log_open(&log, &plan) < 0) abort();
  check(!log_demands_end(&log), "nothing is lost yet");
  say(&log, LOG_STDERR, "one\ntwo\nthree");
  check(log.lost_lines == 3, "lines for a full disk are counted");
  check(log_demands_end(&log) && !log_demands_end(&log), "and the container is to end, once");
  finish(&log);

  /* A disk that is full in the middle of a line: what is torn is cut off and counted. */
  log = begin(LOG_K8S);
  say(&log, LOG_STDOUT, "fits\n");
  struct rlimit before, limit;
  getrlimit(RLIMIT_FSIZE, &before);
  limit = before;
  limit.rlim_cur = (rlim_t)lseek(log.fd, 0, SEEK_END) + 60;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  say(&log, LOG_STDOUT, "too\nmuch for what is left of it\nand more\n");
  setrlimit(RLIMIT_FSIZE, &before);
  check(log.lost_lines == 2, "lines that do not fit are counted");
  check(strcmp(written("log"), "stdout F fits|stdout F too|") == 0, "and what is there is whole");
  say(&log, LOG_STDOUT, "again\n");
  check(strcmp(written("log"), "stdout F fits|stdout F too|stdout F again|") == 0, "with room it goes on");
  check(!log_demands_end(&log), "and need not end, as nobody asked for that");
  finish(&log);
  clear();
}

static void test_rotation(void) {
  struct log log = begin(LOG_K8S);
  plan.max_size = 100;
  plan.max_files = 3;
  finish(&log);
  log = again();
  char line[16];
  for (int i = 1; i <= 20; i++) {
    snprintf(line, sizeof(line), "%d\n", i);
    say(&log, LOG_STDOUT, line);
  }
  /* Each line has 47 or 48 bytes: three make a file full. */
  check(strcmp(written("log"), "stdout F 19|stdout F 20|") == 0, "the last lines");
  check(strcmp(written("log.6"), "stdout F 16|stdout F 17|stdout F 18|") == 0, "those before them");
  check(strcmp(written("log.5"), "stdout F 13|stdout F 14|stdout F 15|") == 0, "and before those");
  check(strcmp(written("log.4"), "") == 0, "there are no more files than asked for");
  finish(&log);

  log = again();
  say(&log, LOG_STDOUT, "21\n");
  check(strcmp(written("log.7"), "stdout F 19|stdout F 20|stdout F 21|") == 0, "a later run counts on");
  check(log.oldest == 6 && log.newest == 7, "and removes what it found");

  char name[96];
  snprintf(name, sizeof(name), "%s.6", path);
  int reader = open(name, O_RDONLY | O_CLOEXEC);
  flock(reader, LOCK_SH);
  for (int i = 22; i <= 36; i++) {
    snprintf(line, sizeof(line), "%d\n", i);
    say(&log, LOG_STDOUT, line);
  }
  check(log.oldest == 6 && log.newest == 12, "what is being read stays, and what comes after it");
  for (int i = 0; i < 60; i++) say(&log, LOG_STDOUT, "xx\n");
  check(log.newest - log.oldest + 1 == 2, "but not for ever");
  close(reader);

  if (truncate(path, 0) < 0) abort();
  for (int i = 0; i < 2; i++) say(&log, LOG_STDOUT, "two\n");
  check(strcmp(written("log"), "stdout F two|stdout F two|") == 0, "a file that somebody emptied");
  uint64_t newest = log.newest;
  snprintf(name, sizeof(name), "%s.%d", path, (int)newest + 1);
  close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  for (int i = 0; i < 2; i++) say(&log, LOG_STDOUT, "more\n");
  check(log.lost_lines == 0 && log.newest == newest + 2, "a number that somebody took");
  finish(&log);
  clear();
}

static void test_none(void) {
  struct log log = {0};
  say(&log, LOG_STDOUT, "nowhere\n");
  check(log.lost_lines == 0, "without a log nothing is lost");
}

static void test_odd_files(void) {
  struct log log = begin(LOG_K8S);
  finish(&log);
  const char *const odd[] = {"directory", "fifo", "link", "dangling"};
  const int errors[] = {EISDIR, EINVAL, ELOOP, ELOOP};
  char name[128];
  snprintf(name, sizeof(name), "%s/directory", directory);
  mkdir(name, 0700);
  snprintf(name, sizeof(name), "%s/fifo", directory);
  mkfifo(name, 0600);
  snprintf(name, sizeof(name), "%s/link", directory);
  if (symlink("log", name) < 0) abort();
  snprintf(name, sizeof(name), "%s/dangling", directory);
  if (symlink("nothing", name) < 0) abort();
  for (size_t i = 0; i < array_length(odd); i++) {
    snprintf(path, sizeof(path), "%s/%s", directory, odd[i]);
    log = (struct log){0};
    errno = 0;
    /* A FIFO without a reader is ENXIO, one with a reader EINVAL. */
    bool refused = log_open(&log, &plan) < 0;
    check(refused && (errno == errors[i] || (i == 1 && errno == ENXIO)), "no log: %s", odd[i]);
  }
  snprintf(name, sizeof(name), "%s/directory", directory);
  rmdir(name);
  clear();
}

static void test_journal(void) {
  strcpy(directory, "/tmp/podling-log-XXXXXX");
  if (!mkdtemp(directory)) abort();
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(path, sizeof(path), "%s/socket", directory);
  memcpy(address.sun_path, path, strlen(path) + 1);
  plan = (struct log_plan){.driver = LOG_JOURNAL, .target = path, .fields = "A=b\n"};
  struct log log = again();
  say(&log, LOG_STDOUT, "one\ntwo\n");
  check(log.lost_lines == 2, "lines for a journald that is not there are counted");

  int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (bind(server, (struct sockaddr *)&address, sizeof(address)) < 0) abort();
  say(&log, LOG_STDERR, "here\n");
  char text[256] = {0};
  check(recv(server, text, sizeof(text) - 1, MSG_DONTWAIT) > 0 &&
            strcmp(text, "A=b\nPRIORITY=3\nMESSAGE=here\n") == 0,
        "and it is found when it comes");

  int least = 1;
  setsockopt(log.fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
  char *large = malloc(LOG_CHUNK + 1), *got = malloc(2 * LOG_CHUNK);
  if (!large || !got) abort();
  memset(large, 'x', LOG_CHUNK);
  log_write(&log, LOG_STDOUT, large, LOG_CHUNK);
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
  int file = -1;
  if (recvmsg(server, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 0 && message.msg_controllen >= CMSG_LEN(sizeof(int)))
    memcpy(&file, CMSG_DATA(&control.header), sizeof(file));
  static const char head[] = "A=b\nPRIORITY=6\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=";
  size_t length = sizeof(head) - 1;
  ssize_t size = pread(file, got, 2 * LOG_CHUNK, 0);
  check(size == (ssize_t)(length + LOG_CHUNK + 1) && memcmp(got, head, length) == 0 &&
            memcmp(got + length, large, LOG_CHUNK) == 0 && got[size - 1] == '\n',
        "what is too large for a datagram comes as a file");
  check(fcntl(file, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), "which is sealed");
  check(log.lost_lines == 2, "and nothing more is lost");
  free(large);
  free(got);
  close(file);
  close(server);
  close(log.fd);
  clear();
}

void test_log(void) {
  test_journal();
  test_times();
  test_k8s();
  test_json();
  test_full();
  test_rotation();
  test_none();
  test_odd_files();
}
