/*
 * The launcher: one per Runtime, so small that forking it costs next to nothing. It forks a monitor for each request
 * and keeps no state worth losing. It ends when its host does; the monitors don't notice.
 */
#include "launcher.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "child.h"
#include "copy.h"
#include "monitor.h"
#include "netlink.h"
#include "protocol.h"
#include "slot.h"
#include "unpack.h"

enum { CONTROL_FD = 3 };

static void report_fork_failure(int stream) {
  struct failure failure = {.stage = STAGE_FORK};
  fail(&failure, "fork");
  send_frame(stream, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
}

static void serve(const struct request *request, const int *fds, size_t count, char *const *parents,
                  size_t parent_count) {
  bool launch = request->kind == REQUEST_LAUNCH && count >= 1;
  bool unpack = request->kind == REQUEST_UNPACK && count == 3;
  bool spare = request->kind == REQUEST_SPARE && count == 1;
  bool copy = request->kind == REQUEST_COPY && (count == 3 || count == 4);
  if (!launch && !unpack && !spare && !copy) return;
  pid_t pid = fork();
  if (pid < 0 && launch) report_fork_failure(fds[0]);
  if (pid != 0) return;
  close(CONTROL_FD);
  if (spare) {
    int passed[REQUEST_FDS];
    size_t passed_count = 0;
    struct slot *slot = slot_wait(fds[0], parents, parent_count, passed, &passed_count);
    monitor_main(fds[0], passed, passed_count, slot);
  }
  if (launch) monitor_main(fds[0], fds + 1, count - 1, NULL);
  signal(SIGCHLD, SIG_DFL);
  if (copy) _exit(copy_main(fds[0], fds[1], fds[2], request->first, request->second, count == 4 ? fds[3] : -1));
  char directory[64];
  snprintf(directory, sizeof(directory), "/proc/self/fd/%d", fds[0]);
  _exit(unpack_main(fds[1], fds[2], directory));
}

int launcher_main(char *const *parents, size_t parent_count) {
  sys_close_range(CONTROL_FD + 1, ~0U, 0);
  setsid();
  if (chdir("/") < 0) return 1;
  prctl(PR_SET_NAME, "podling-launch");
  signals_default();
  /* The kernel reaps our children when SIGCHLD is ignored. */
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  learn_of_groups();
  netlink_open_firewall();
  slot_sweep(parents, parent_count);
  for (;;) {
    struct request request;
    int fds[REQUEST_FDS];
    size_t count;
    int got = receive_request(CONTROL_FD, &request, fds, &count);
    if (got == 0) return 0;
    if (got < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    serve(&request, fds, count, parents, parent_count);
    for (size_t i = 0; i < count; i++) close(fds[i]);
  }
}
