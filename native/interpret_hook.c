/*
 * Programs that are run in the namespaces of a container on its way to its own (runtime-spec, "POSIX-platform Hooks").
 *
 *   createContainer   before the pivot: a program of the host, with all rights of the container's root
 *   startContainer    behind it: a program of the image, hostile as all of it. It is what the container's own program will
 *                     be: a fork of this process goes on with the plan, takes the user, the capabilities and the filter,
 *                     and executes the hook where it would execute the program.
 */
#include "child.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "clock.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3: vm.memfd_noexec may ask for it */
#endif

/* It need not read its state, so this is no pipe: nobody waits for it. `state` lacks the pid and the last brace. */
static int open_state(const char *state) {
  autoclose int fd = memfd_create("state", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = memfd_create("state", MFD_CLOEXEC);
  if (fd < 0) return -1;
  char pid[32];
  int size = snprintf(pid, sizeof(pid), ",\"pid\":%d}", (int)getpid());
  if (write_all(fd, state, strlen(state)) < 0 || write_all(fd, pid, (size_t)size) < 0) return -1;
  return lseek(fd, 0, SEEK_SET) < 0 ? -1 : steal_fd(&fd);
}

/* In the new process: its failures go where the monitor's would. Nothing but its three streams outlives its execve(2). */
static int settle_hook(struct child *child, const struct hook *hook, int state, int report, int words) {
  /* The caller closes its own copy as it returns, before the failure is told. */
  link_fd = fcntl(report, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (link_fd < 0) _exit(1);
  child->hook = hook;
  setsid(); /* no terminal, and a group to be killed by */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_PDEATHSIG");
  autoclose int null = open_dev_null(child, O_WRONLY);
  if (null < 0) return -1;
  if (dup2(state, 0) < 0 || dup2(null, 1) < 0 || dup2(words, 2) < 0) return fail(&child->failure, "dup2");
  if (sys_close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) return fail(&child->failure, "close_range");
  if (hook->directory && chdir(hook->directory) < 0) return fail(&child->failure, "chdir");
  return 0;
}

int execute_hook(struct child *child) {
  const struct hook *hook = child->hook;
  child->failure.index = hook->index;
  char **argv = strings(hook->argv, NULL), **environment = strings(hook->environment, NULL);
  errno = ENOMEM;
  if (!argv || !environment) return fail(&child->failure, "calloc");
  execve(hook->path, argv, environment);
  return fail(&child->failure, "execve");
}

/* The end of what it says is what tells why it failed. False: there is no more. */
static bool hear(int words, char *said, size_t size) {
  char heard[512];
  ssize_t got = read(words, heard, sizeof(heard));
  if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
  size_t more = (size_t)got < size - 1 ? (size_t)got : size - 1, old = strlen(said);
  size_t kept = old < size - 1 - more ? old : size - 1 - more;
  memmove(said, said + old - kept, kept);
  memcpy(said + kept, heard + (size_t)got - more, more);
  said[kept + more] = '\0';
  /* What else is in a NUL's place would be lost behind it. */
  for (char *at = said + kept; at < said + kept + more; at++) *at = *at ? *at : ' ';
  return true;
}

/* Wait for its end, or make it. Returns whether it was late, or -1. */
static int await_hook(struct child *child, const struct hook *hook, pid_t pid, int words, char *said, size_t size) {
  autoclose int pidfd = sys_pidfd_open(pid);
  if (pidfd < 0) return fail(&child->failure, "pidfd_open");
  uint64_t due = hook->seconds > 0 ? clock_ms() + hook->seconds * UINT64_C(1000) : 0;
  bool late = false;
  struct pollfd polled[] = {{.fd = pidfd, .events = POLLIN}, {.fd = words, .events = POLLIN}};
  while (!(polled[0].revents & POLLIN)) {
    uint64_t now = clock_ms();
    if (!late && due > 0 && now >= due) {
      late = true;
      /* Not waited for yet, so that both numbers are its own; it may have no group yet. */
      kill(-pid, SIGKILL);
      kill(pid, SIGKILL);
    }
    if (clock_poll(polled, array_length(polled), late || due == 0 ? -1 : (int64_t)(due - now)) < 0 && errno != EINTR)
      return fail(&child->failure, "poll");
    if (polled[1].revents && !hear(words, said, size)) polled[1].fd = -1;
  }
  /* What is in the pipe still. Who else has its other end may go on for ever. */
  for (int turn = 0; turn < 128 && polled[1].fd >= 0 && clock_poll(polled + 1, 1, 0) > 0; turn++)
    if (!hear(words, said, size)) break;
  return late;
}

/* How it has ended, as what this operation says. */
static int conclude_hook(struct child *child, const struct hook *hook, pid_t pid, int report, int words) {
  char said[sizeof(child->failure.said)] = "";
  int late = await_hook(child, hook, pid, words, said, sizeof(said));
  int status = 0;
  if (late < 0) kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  /* Children of its own have become ours, where this is pid 1; those that are dead are nothing for the program to find. */
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  if (late < 0) return -1;
  struct {
    uint32_t kind;
    struct failure failure;
  } record;
  if (!late && read(report, &record, sizeof(record)) == (ssize_t)sizeof(record)) {
    child->failure = record.failure;
    return -1;
  }
  memcpy(child->failure.said, said, sizeof(said));
  errno = 0;
  if (late) return fail_because(&child->failure, REASON_HOOK_LATE, "execve");
  errno = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  if (WIFSIGNALED(status)) return fail_because(&child->failure, REASON_HOOK_KILLED, "execve");
  return errno == 0 ? 0 : fail_because(&child->failure, REASON_HOOK_EXITED, "execve");
}

int op_hook(struct child *child, struct reader *fields) {
  /* A process that is forked before the cgroups are entered would stay outside of them. */
  wait_to_go_on(child);
  /* Not on the stack: a fork that goes on with the plan leaves this function. */
  static struct hook hook;
  hook = (struct hook){.index = child->failure.index, .path = read_text(fields)};
  hook.argv = read_texts(fields);
  hook.environment = read_texts(fields);
  const char *state_text = read_text(fields);
  hook.seconds = read_u32(fields);
  hook.directory = read_maybe(fields);
  bool as_program = read_u8(fields) == 1;
  autoclose int state = open_state(state_text);
  if (state < 0) return fail(&child->failure, "memfd_create");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return fail(&child->failure, "pipe2");
  autoclose int report = ends[0], report_end = ends[1];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return fail(&child->failure, "pipe2");
  autoclose int words = ends[0], words_end = ends[1];
  /* Its own end waits as those of other programs do. */
  if (fcntl(words_end, F_SETFL, 0) < 0) return fail(&child->failure, "fcntl");
  pid_t pid = fork();
  if (pid < 0) return fail(&child->failure, "fork");
  if (pid == 0) {
    if (settle_hook(child, &hook, state, report_end, words_end) < 0) return -1;
    return as_program ? 0 : execute_hook(child);
  }
  close_fd(&report_end);
  close_fd(&words_end);
  return conclude_hook(child, &hook, pid, report, words);
}
