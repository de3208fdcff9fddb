#include "listener.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { PATIENCE_SECONDS = 5 };

/* By the descriptor of its path, which may be longer than a socket address has room for. */
int connect_by_path(const char *path, struct failure *failure) {
  autoclose int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0) return fail(failure, "open");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", place);
  autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(failure, "socket");
  /* Whoever is there and takes nothing holds up a start, and not for ever. */
  struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
  if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0) return fail(failure, "setsockopt");
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) return fail(failure, "connect");
  return steal_fd(&fd);
}

int listener_pass_on(const struct listener_plan *plan, int listener, pid_t pid, struct failure *failure) {
  failure->stage = STAGE_LISTENER;
  errno = EDESTADDRREQ;
  if (!plan->path) return fail(failure, "connect");
  autoclose int agent = connect_by_path(plan->path, failure);
  if (agent < 0) return -1;
  char end[128];
  int size = snprintf(end, sizeof(end), ",\"status\":\"%s\",\"pid\":%d},\"pid\":%d}", plan->container ? "running" : "creating",
                      plan->container ? (int)plan->container : (int)pid, (int)pid);
  struct iovec parts[] = {
      {.iov_base = (void *)(uintptr_t)plan->state, .iov_len = strlen(plan->state)},
      {.iov_base = end, .iov_len = (size_t)size},
  };
  if (send_with(agent, parts, array_length(parts), listener) < 0) return fail(failure, "sendmsg");
  failure->stage = 0;
  return 0;
}
