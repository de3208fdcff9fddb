/*
 * One process of a container, made for a command that ends before it does (podling-oci): no monitor stands between it and
 * whoever reaps orphans.
 *
 *   podling-helper detach FIFO|- CONSOLE|- PASSED
 *
 *   0, 1, 2   its streams
 *   3         the command: a plan comes, frames go (protocol.h), words come: 'g' go on, 's' go on, and stay till its end;
 *             where the program is CRIU, which has no part of its own in the container, REQUEST_RESTORED comes in the end
 *   4         what the plan names as /proc/self/fd/4
 *   5...      PASSED descriptors that its program inherits, from 3 on
 *
 *   FIFO      where its start is waited for
 *   CONSOLE   a listening socket that its terminal's master is sent to; without one we stay, and pass on what is typed
 *
 * Until the process has parted from us, our death is its own, and the end of the command is our end: whatever is killed
 * meanwhile, no process is left. Afterwards we matter to nobody, but when we are to stay.
 */
#include "detach.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "listener.h"
#include "process.h"
#include "restored.h"

enum { STREAM_FD = 3, ENDING_TRIES = 1000 };

struct detached {
  struct plan plan;
  struct process process;
  bool *made; /* cgroups that are new */
  int console;
  bool stays;
};

/* Nothing of it is to be left, and the command told why. */
_Noreturn static void give_up(struct detached *detached, struct failure failure) {
  struct process *process = &detached->process;
  process_kill(process, SIGKILL);
  bool own = detached->made && detached->plan.directories.count > 0;
  if (own) cgroup_signal(&detached->plan, SIGKILL);
  while (process->pid > 0 && waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) continue;
  for (int tries = 0; own && !cgroup_remove(&detached->plan, detached->made) && tries < ENDING_TRIES; tries++) {
    cgroup_signal(&detached->plan, SIGKILL);
    poll(NULL, 0, 1);
  }
  send_frame(STREAM_FD, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
  _exit(1);
}

/* As runc: one message, its text the name by which the master was opened. */
static int send_master(int console, int master) {
  static char name[] = "/dev/ptmx";
  struct iovec part = {.iov_base = name, .iov_len = strlen(name)};
  return send_with(console, &part, 1, master);
}

/* It is somebody else's from now on. */
static int pass_terminal(struct detached *detached, struct failure *failure) {
  struct console *console = &detached->process.console;
  failure->stage = STAGE_CONSOLE;
  if (fcntl(console->outputs[0], F_SETFL, O_RDWR) < 0) return fail(failure, "fcntl");
  if (send_master(detached->console, console->outputs[0]) < 0) return fail(failure, "sendmsg");
  console_close(console);
  console_clear(console);
  return 0;
}

static int open_console(struct detached *detached, const char *path, struct failure *failure) {
  failure->stage = STAGE_CONSOLE;
  detached->console = connect_by_path(path, failure);
  return detached->console < 0 ? -1 : 0;
}

static int open_start(struct detached *detached, const char *fifo, struct failure *failure) {
  failure->stage = STAGE_STDIO;
  if (mkfifo(fifo, 0600) < 0) return fail(failure, "mkfifo");
  autoclose int fd = open(fifo, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fail(failure, "open");
  detached->plan.start_fd = fcntl(fd, F_DUPFD_CLOEXEC, start_fd(&detached->plan) + 1);
  return detached->plan.start_fd < 0 ? fail(failure, "fcntl") : 0;
}

static int begin(struct detached *detached, const char *fifo, const char *console, struct failure *failure) {
  struct plan *plan = &detached->plan;
  size_t size = 0;
  void *bytes = receive_plan(STREAM_FD, &size);
  int passed = plan->passed;
  errno = EINVAL;
  if (!bytes || !plan_decode(plan, bytes, size)) return fail(failure, "read");
  plan->passed = passed;
  if (strcmp(fifo, "-") != 0 && open_start(detached, fifo, failure) < 0) return -1;
  if (strcmp(console, "-") != 0 && open_console(detached, console, failure) < 0) return -1;
  if (clone_open_joined(plan, NULL, 0, failure) < 0) return -1;
  detached->made = calloc((size_t)plan->directories.count + 1, sizeof(bool));
  if (!detached->made) return fail(failure, "calloc");
  if (cgroup_make(plan, detached->made, failure) < 0) return -1;
  int stdio[3] = {-1, -1, -1};
  for (int fd = 0; fd < 3; fd++)
    if (plan->stdio[fd] == STDIO_PASS) stdio[fd] = fd;
  detached->process.console.awaited = plan->stdio[0] == STDIO_TERMINAL;
  if (process_start(&detached->process, plan, NULL, stdio, GO_AFTER_WORD, NULL, failure) < 0) return -1;
  /* Its program's alone: who is at the other end is to see it end. */
  for (int i = 0; i < passed; i++) close(FIRST_PASSED + i);
  return cgroup_limit(plan, failure);
}

/* Its pid is known: it gets its ids and its cgroups, and may go on. */
static int release(struct detached *detached, struct failure *failure) {
  struct process *process = &detached->process;
  if (plan_enters_pids(&detached->plan)) return 0; /* so it was before it was born, and waits for no word */
  if (process_map_ids(process, &detached->plan, failure) < 0) return -1;
  if (cgroup_attach(&detached->plan, process->pid, NULL, failure) < 0) return -1;
  process_go_on(process);
  return 0;
}

_Noreturn static void stay(struct detached *detached) {
  struct process *process = &detached->process;
  int status;
  if (process->console.terminal) relay(process->console.outputs[0], process->pidfd, STREAM_FD);
  while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR) continue;
  struct exit_record record = {.started_at = process->started_at, .finished_at = now_ms()};
  record.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
  record.exit_code = record.signal ? 128 + record.signal : (uint32_t)WEXITSTATUS(status);
  send_frame(STREAM_FD, FRAME_EXITED, &record, sizeof(record), NULL, 0);
  _exit(0);
}

/* Its program runs, or waits for its start: there is nothing more to do, but to wait for its end where that is asked for. */
_Noreturn static void leave(struct detached *detached) {
  detached->process.started_at = now_ms();
  process_announce(&detached->process, STREAM_FD, FRAME_STARTED);
  if (detached->stays) stay(detached);
  _exit(0);
}

/* What the process has to say. */
static void hear(struct detached *detached) {
  struct process *process = &detached->process;
  struct failure failure = {0};
  bool had_pid = process->pid > 0, goes_on = process_listen(process);
  if (!had_pid && process->pid > 0 && release(detached, &failure) < 0) give_up(detached, failure);
  if (process->console.terminal && detached->console >= 0 && pass_terminal(detached, &failure) < 0) give_up(detached, failure);
  if (process->identity && !process->executing) {
    process_announce(process, STREAM_FD, FRAME_READY);
    free(process->identity);
    process->identity = NULL;
    process->identity_size = 0;
  }
  if (process->parted && detached->plan.start_fd >= 0) leave(detached);
  if (goes_on) return;
  if (process->started && process->parted) leave(detached);
  if (process->started) {
    process_announce(process, STREAM_FD, FRAME_STARTED);
    return;
  }
  if (process->failure.stage != 0) give_up(detached, process->failure);
  process_reap(process);
  give_up(detached, (struct failure){.stage = STAGE_DIED, .error = process->signal ? process->signal : SIGKILL});
}

/*
 * CRIU has made the process, as a child of ours, and ends. With the request comes the master of its terminal, where it has one;
 * second: 1 to stay till its end.
 */
_Noreturn static void take_restored(struct detached *detached) {
  struct process *process = &detached->process;
  struct failure failure = {.stage = STAGE_STDIO};
  struct request request;
  int fds[REQUEST_FDS];
  size_t count;
  pid_t criu = process->pid;
  if (receive_request(STREAM_FD, &request, fds, &count) != 1 || request.kind != REQUEST_RESTORED)
    give_up(detached, (struct failure){0});
  errno = restored_take(process, (pid_t)request.first);
  if (errno != 0) {
    fail(&failure, "waitid");
    give_up(detached, failure);
  }
  while (waitpid(criu, NULL, 0) < 0 && errno == EINTR) continue;
  if (count > 0 && console_take_terminal(&process->console, fds[0]) < 0) {
    fail(&failure, "ioctl TIOCGPTPEER");
    give_up(detached, failure);
  }
  if (process->console.terminal && detached->console >= 0 && pass_terminal(detached, &failure) < 0)
    give_up(detached, failure);
  detached->stays = request.second == 1;
  leave(detached);
}

/* What the command has to say; with its end there is nobody whom all this is for. */
static void obey(struct detached *detached) {
  if (detached->process.started) take_restored(detached);
  char word;
  ssize_t got = read(STREAM_FD, &word, 1);
  if (got < 0 && errno == EINTR) return;
  if (got != 1) give_up(detached, (struct failure){0});
  if (word == 's') detached->stays = true;
  process_go_on(&detached->process);
}

void detach_main(char *const *arguments) {
  static struct detached detached = {.console = -1};
  process_clear(&detached.process);
  detached.plan.passed = atoi(arguments[2]);
  sys_close_range((unsigned)(FIRST_PASSED + detached.plan.passed), ~0U, 0);
  prctl(PR_SET_NAME, "podling-detach");
  signals_default();
  sigset_t all;
  sigfillset(&all); /* what a terminal's user types is the command's to pass on; the new process begins with none blocked */
  sigprocmask(SIG_SETMASK, &all, NULL);
  struct failure failure = {.stage = STAGE_PLAN};
  if (begin(&detached, arguments[0], arguments[1], &failure) < 0) give_up(&detached, failure);
  if (detached.process.pid > 0 && release(&detached, &failure) < 0) give_up(&detached, failure);
  for (;;) {
    struct pollfd polled[] = {{.fd = detached.process.link, .events = POLLIN}, {.fd = STREAM_FD, .events = POLLIN}};
    if (poll(polled, array_length(polled), -1) < 0) continue;
    if (polled[0].revents) hear(&detached);
    if (polled[1].revents) obey(&detached);
  }
}
