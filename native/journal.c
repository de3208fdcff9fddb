#include "journal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "clock.h"

static bool is_named(const struct stat *status, const char *path) {
  struct stat named;
  return lstat(path, &named) == 0 && named.st_dev == status->st_dev && named.st_ino == status->st_ino;
}

/* One of those who find it full does it. */
static void rotate(int fd, const char *path, uint32_t limit) {
  struct stat status;
  char previous[PATH_MAX];
  if (fstat(fd, &status) < 0 || status.st_size <= (off_t)limit || flock(fd, LOCK_EX | LOCK_NB) < 0) return;
  int size = snprintf(previous, sizeof(previous), "%s.1", path);
  if (size > 0 && size < PATH_MAX && is_named(&status, path) && rename(path, previous) < 0) return;
}

void journal_write(const struct plan *plan, const char *action, const char *members) {
  if (!plan->journal) return;
  autoclose int fd = open(plan->journal, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
  char *line = NULL;
  /* An empty line in front ends what a full disk may have left of another's; one write(2), so that no other gets between. */
  int size = asprintf(&line, "\n{\"time\":%" PRIu64 ",\"action\":\"%s\"%s,%s}\n", now_ms(), action, members,
                      plan->journal_members);
  if (size < 0) return;
  if (fd >= 0 && write_all(fd, line, (size_t)size) == 0) rotate(fd, plan->journal, plan->journal_limit);
  free(line);
}
