/* What several operations of a new process have need of. */
#include "child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "resolve.h"

int link_fd = LINK_FD;

/* Without the monitor's word there is no monitor any more, and nothing to live for. */
void wait_for_word(void) {
  char word;
  for (;;) {
    ssize_t got = read(link_fd, &word, 1);
    if (got == 1) return;
    if (got < 0 && errno == EINTR) continue;
    _exit(1);
  }
}

void wait_to_go_on(struct child *child) {
  if (child->gone_on) return;
  wait_for_word();
  child->gone_on = true;
}

int open_dev_null(struct child *child, uint64_t flags) {
  autoclose int fd = child->pivoted ? resolve(child->root, "dev/null", flags)
                                    : sys_openat2(AT_FDCWD, "/dev/null", flags, 0, RESOLVE_NO_SYMLINKS);
  if (fd < 0) return fail(&child->failure, "openat2");
  struct stat status;
  if (fstat(fd, &status) < 0) return fail(&child->failure, "fstat");
  if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) return steal_fd(&fd);
  errno = 0;
  return fail_because(&child->failure, REASON_NOT_DEV_NULL, "fstat");
}

char **strings(struct list list, char *last) {
  char **array = calloc((size_t)list.count + 2, sizeof(char *));
  if (!array) return NULL;
  for (uint32_t i = 0; i < list.count; i++) array[i] = (char *)(uintptr_t)read_text(&list.items);
  array[list.count] = last;
  return array;
}
