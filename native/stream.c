/*
 * To SELinux a pipe(7) is what its maker is, whom a container need not be allowed to read from or write to. One that had a name
 * once, a fifo(7), can be called anything.
 */
#include "stream.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int open_both(const char *path, int ends[2]) {
  /* With both ends open already, neither of the others waits for its like. */
  autoclose int both = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (both < 0) return -1;
  autoclose int from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  autoclose int to = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0 || to < 0) return -1;
  ends[0] = steal_fd(&from);
  ends[1] = steal_fd(&to);
  return 0;
}

int make_stream(const struct plan *plan, int ends[2], struct failure *failure) {
  if (!plan->stream_label) return pipe2(ends, O_CLOEXEC) < 0 ? fail(failure, "pipe2") : 0;
  char path[PATH_MAX];
  /* Beside the monitor's socket, where nobody else has anything of this name. */
  const char *slash = strrchr(plan->socket, '/');
  int size = snprintf(path, sizeof(path), "%.*s/stream", slash ? (int)(slash - plan->socket) : 0, plan->socket);
  errno = ENAMETOOLONG;
  if (size < 0 || (size_t)size >= sizeof(path)) return fail(failure, "mkfifo");
  /* Of a monitor that was killed in between. */
  if (unlink(path) < 0 && errno != ENOENT) return fail(failure, "unlink");
  if (mkfifo(path, 0600) < 0) return fail(failure, "mkfifo");
  const char *label = plan->stream_label;
  bool labelled = lsetxattr(path, "security.selinux", label, strlen(label), 0) == 0 || errno == EOPNOTSUPP;
  int opened = !labelled ? fail(failure, "setxattr") : open_both(path, ends) < 0 ? fail(failure, "open") : 0;
  unlink(path);
  return opened;
}
