/*
 * The launcher: one per Runtime, so small that forking it costs next to nothing. It forks a monitor for each request
 * and keeps no state worth losing. It ends when its host does; the monitors don't notice.
 */
#include "launcher.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "monitor.h"
#include "protocol.h"
#include "slot.h"
#include "unpack.h"

/*
 * A slot's stub holds the kernel's cgroup mutex while it waits for its grace period, and a container that starts or ends
 * meanwhile would wait for it with all its mkdir(2)s. So a new slot is made in a quiet moment. When starts come so fast
 * that there is none, the grace period is not needed anyway.
 */
enum { CONTROL_FD = 3, QUIET_MS = 10 };

static void report_fork_failure(int stream) {
  struct failure failure = {.stage = STAGE_FORK};
  fail(&failure, "fork");
  send_frame(stream, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
}

/* The warm slot in waiting. */
struct waiting {
  int socket; /* -1: none */
  char *const *parents;
  size_t count; /* 0: none are wanted */
};

static void keep_warm(struct waiting *slot) {
  if (slot->socket >= 0 || slot->count == 0) return;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    close(CONTROL_FD);
    close(ends[0]);
    slot_main(ends[1], slot->parents, slot->count);
  }
  close(ends[1]);
  if (pid < 0) close(ends[0]);
  else slot->socket = ends[0];
}

/* Give a launch to the warm slot. False: there is none, or it is not ready yet. */
static bool use_warm(struct waiting *slot, const struct request *request, const int *fds, size_t count) {
  char word;
  if (slot->socket < 0) return false;
  ssize_t got = recv(slot->socket, &word, 1, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return false;
  bool given = got == 1 && send_request(slot->socket, request, fds, count);
  close_fd(&slot->socket);
  return given;
}

static void serve(struct waiting *slot, const struct request *request, const int *fds, size_t count) {
  bool launch = request->kind == REQUEST_LAUNCH && count >= 1;
  bool unpack = request->kind == REQUEST_UNPACK && count == 3;
  if (!launch && !unpack) return;
  if (launch && use_warm(slot, request, fds, count)) return;
  pid_t pid = fork();
  if (pid < 0 && launch) report_fork_failure(fds[0]);
  if (pid != 0) return;
  close(CONTROL_FD);
  close_fd(&slot->socket); /* else a slot would outlive the launcher */
  if (launch) monitor_main(fds[0], fds + 1, count - 1, NULL);
  char directory[64];
  snprintf(directory, sizeof(directory), "/proc/self/fd/%d", fds[0]);
  signal(SIGCHLD, SIG_DFL);
  _exit(unpack_main(fds[1], fds[2], directory));
}

int launcher_main(char *const *parents, size_t parent_count) {
  sys_close_range(CONTROL_FD + 1, ~0U, 0);
  setsid();
  if (chdir("/") < 0) return 1;
  prctl(PR_SET_NAME, "podling-launch");
  /* Whoever started us may block or ignore any signal; the kernel reaps our children when SIGCHLD is ignored. */
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  struct waiting slot = {.socket = -1, .parents = parents, .count = parent_count};
  slot_sweep(parents, parent_count);
  keep_warm(&slot);
  for (;;) {
    struct pollfd control = {.fd = CONTROL_FD, .events = POLLIN};
    if (slot.socket < 0 && slot.count > 0 && poll(&control, 1, QUIET_MS) == 0) keep_warm(&slot);
    struct request request;
    int fds[REQUEST_FDS];
    size_t count;
    int got = receive_request(CONTROL_FD, &request, fds, &count);
    if (got == 0) return 0;
    if (got < 0) {
      if (errno == EINTR) continue;
      return 1;
    }
    serve(&slot, &request, fds, count);
    for (size_t i = 0; i < count; i++) close(fds[i]);
  }
}
