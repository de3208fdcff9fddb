/*
 * A log file and those before it: `ctr.log` is written to; what was full has a number behind its name, `ctr.log.7`, the
 * next a higher one. A number is never used twice, so that a reader who knows where it is finds what comes next, and a
 * monitor that is killed between any two steps leaves files that are all in their order.
 *
 * A reader holds a shared flock(2) on the file that it is at: that one and those after it stay until it is through.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "log.h"

enum {
  HELD_FILES = 16, /* how many more files than asked for there may be for a reader that lags behind */
  FLUSHED = LOG_CHUNK, /* what is written together */
};

static char buffer[FLUSHED + LOG_ENTRY];
static size_t filled;

static void numbered(const struct log *log, char name[NAME_MAX + 1], uint64_t number) {
  snprintf(name, NAME_MAX + 1, "%s.%" PRIu64, log->name, number);
}

/* Which files there are from before: of an earlier run. */
static int find_numbers(struct log *log) {
  autoclose int fd = openat(log->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  if (!directory) return -1;
  steal_fd(&fd);
  size_t length = strlen(log->name);
  for (struct dirent *entry; (entry = readdir(directory));) {
    const char *digits = entry->d_name + length + 1;
    if (strncmp(entry->d_name, log->name, length) != 0 || entry->d_name[length] != '.') continue;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 18 || digits[count] || digits[0] == '0') continue;
    uint64_t number = strtoull(digits, NULL, 10);
    if (log->oldest > log->newest) log->oldest = log->newest = number;
    if (number < log->oldest) log->oldest = number;
    if (number > log->newest) log->newest = number;
  }
  closedir(directory);
  return 0;
}

/* A FIFO would hold up whoever opens it; what is no file at all can't be a log. */
static int open_log(const struct log *log, const char *name, int flags, struct stat *status) {
  autoclose int fd = openat(log->directory, name,
                            O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC | flags, 0640);
  if (fd < 0 || fstat(fd, status) < 0) return -1;
  errno = EINVAL;
  if (!S_ISREG(status->st_mode) && !S_ISCHR(status->st_mode)) return -1;
  return steal_fd(&fd);
}

int log_file_open(struct log *log) {
  const char *path = log->plan->target, *slash = strrchr(path, '/');
  char directory[PATH_MAX];
  errno = EINVAL;
  if (!slash || slash - path >= PATH_MAX - 1 || strlen(slash + 1) == 0) return -1;
  log->name = slash + 1;
  memcpy(directory, path, (size_t)(slash - path) + 1);
  directory[slash - path + 1] = '\0';
  errno = ENAMETOOLONG;
  if (strlen(log->name) + 20 > NAME_MAX) return -1;
  log->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (log->directory < 0) return -1;
  struct stat status;
  log->fd = open_log(log, log->name, 0, &status);
  if (log->fd < 0) return -1;
  log->size = (uint64_t)status.st_size;
  log->rotates = log->plan->max_size > 0 && S_ISREG(status.st_mode);
  log->oldest = 1;
  return log->rotates ? find_numbers(log) : 0;
}

/* Lines that are not whole in the file, when only `written` bytes are there: cut a torn one off. */
static void cut_back(struct log *log, size_t written) {
  size_t whole = written;
  while (whole > 0 && buffer[whole - 1] != '\n') whole--;
  uint64_t lost = 0;
  for (size_t i = whole; i < filled; i++) lost += buffer[i] == '\n';
  log_lose(log, lost);
  struct stat status;
  off_t torn = (off_t)(written - whole);
  if (torn > 0 && fstat(log->fd, &status) == 0 && status.st_size >= torn && ftruncate(log->fd, status.st_size - torn) == 0)
    written = whole;
  log->size += written;
  filled = 0;
}

static void flush(struct log *log) {
  if (filled == 0) return;
  ssize_t size;
  do size = write(log->fd, buffer, filled);
  while (size < 0 && errno == EINTR);
  /* A file takes less than all only when it is about to fail; the rest is not tried again, as that may block anew. */
  cut_back(log, size < 0 ? 0 : (size_t)size);
}

char *log_file_room(struct log *log, size_t most) {
  if (filled + most > sizeof(buffer) || filled >= FLUSHED) flush(log);
  return buffer + filled;
}

void log_file_add(size_t size) {
  filled += size;
}

static void remove_oldest(struct log *log) {
  uint64_t most = log->plan->max_files > 0 ? log->plan->max_files - 1 : 0;
  while (log->oldest <= log->newest && log->newest - log->oldest + 1 > most) {
    char name[NAME_MAX + 1];
    numbered(log, name, log->oldest);
    autoclose int fd = openat(log->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is_read = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (is_read && log->newest - log->oldest < most + HELD_FILES) return;
    if (unlinkat(log->directory, name, 0) < 0 && errno != ENOENT) return;
    log->oldest++;
  }
}

/*
 * First the new file, under another name, since a disk that is full may have no room for it: then all stays as it is. It
 * gets its name when the full one has its number; until it has, nothing is written.
 */
static void rotate(struct log *log) {
  struct stat status;
  /* Somebody else may have emptied it. */
  if (fstat(log->fd, &status) == 0 && (uint64_t)status.st_size < log->plan->max_size) {
    log->size = (uint64_t)status.st_size;
    return;
  }
  char full[NAME_MAX + 1], fresh[NAME_MAX + 1];
  numbered(log, full, log->newest + 1);
  snprintf(fresh, sizeof(fresh), "%s.podling-new", log->name);
  unlinkat(log->directory, fresh, 0);
  autoclose int fd = open_log(log, fresh, O_EXCL, &status);
  if (fd < 0) return;
  if (renameat2(log->directory, log->name, log->directory, full, RENAME_NOREPLACE) < 0) {
    if (errno == EEXIST) log->newest++; /* put there by somebody else; the next number is tried the next time */
    unlinkat(log->directory, fresh, 0);
    return;
  }
  if (renameat(log->directory, fresh, log->directory, log->name) < 0) {
    renameat(log->directory, full, log->directory, log->name);
    return;
  }
  close_fd(&log->fd);
  log->fd = steal_fd(&fd);
  log->size = 0;
  log->newest++;
  remove_oldest(log);
}

/* Once all that was read is written, so that a monitor that is killed while it rotates has lost nothing. */
void log_file_settle(struct log *log) {
  flush(log);
  if (log->rotates && log->size >= log->plan->max_size) rotate(log);
}
