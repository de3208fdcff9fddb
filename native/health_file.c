#include "health_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

void health_file_write(const char *path, const struct health_state *state) {
  char temporary[PATH_MAX];
  int size = snprintf(temporary, sizeof(temporary), "%s.new", path);
  if (size < 0 || (size_t)size >= sizeof(temporary)) return;
  autoclose int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return;
  /* An older state is better than half of one. */
  if (write_all(fd, state, sizeof(*state)) < 0 || rename(temporary, path) < 0) unlink(temporary);
}
