#include "clone.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "namespaces.h"
#include "outside.h"

/* Of the new process, and of the stage that has begun with it. */
static struct child child;

/* All but what was made outside. */
static int close_above(unsigned last) {
  for (;;) {
    unsigned next = outside_next(&child, last);
    if (next > last + 1 && sys_close_range(last + 1, next - 1, 0) < 0) return -1;
    if (next == ~0U) return 0;
    last = next;
  }
}

/* Descriptors and signals of the new process as its program shall find them. */
static int settle(const struct plan *plan, const int stdio[3], int link) {
  for (int fd = 0; fd < 3; fd++)
    if (stdio[fd] >= 0 && dup2(stdio[fd], fd) < 0) return -1;
  for (int i = 0; i < plan->passed; i++)
    if (dup2(FIRST_PASSED + i, LINK_FD + i) < 0) return -1;
  link_fd = LINK_FD + plan->passed;
  if (link != link_fd && dup3(link, link_fd, O_CLOEXEC) < 0) return -1;
  int last = link_fd;
  /* A stage outside has taken from it. */
  if (plan->peer_fd >= 0 && plan->outside == 0 && dup3(plan->peer_fd, last = peer_fd(plan), O_CLOEXEC) < 0) return -1;
  if (plan->start_fd >= 0) {
    if (last == link_fd) close(peer_fd(plan));
    if (dup3(plan->start_fd, last = start_fd(plan), O_CLOEXEC) < 0) return -1;
  }
  /* Nothing of the host may be open where the container's own files come into play (CVE-2024-21626). */
  if (close_above((unsigned)last) < 0) return -1;
  sigset_t none;
  sigemptyset(&none);
  /* What launcher_main() has changed of the defaults that it set. */
  signal(SIGPIPE, SIG_DFL);
  signal(SIGCHLD, SIG_DFL);
  return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between clone and execve: the body of every new process. `cgroup`: whose cgroup namespace to enter, or -1. */
_Noreturn static void run(const struct plan *plan, const int stdio[3], int link, enum go go, int cgroup, bool unborn) {
  if (plan->outside == 0) child_begin(&child, plan);
  child.gone_on = go == GO_AT_ONCE;
  child.unborn = unborn;
  struct failure *failure = &child.failure;
  bool settled = false;

  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  failure->stage = STAGE_ENTER;
  if (cgroup >= 0 && setns(cgroup, CLONE_NEWCGROUP) < 0) {
    fail(failure, "setns");
  } else if (failure->stage = STAGE_STDIO, settle(plan, stdio, link) < 0) {
    fail(failure, "dup2");
  } else {
    settled = true;
    umask(0);
    /* A session of its own: signals of the monitor's don't reach it, and CRIU dumps no session that began outside. */
    setsid();
    bool fine = true;
    if (go == GO_AFTER_WORD) wait_to_go_on(&child);
    failure->stage = STAGE_ID_MAP;
    if (plan->uid_map && (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) {
      fail(failure, "setresuid");
      fine = false;
    }
    /* A new cgroup namespace is rooted where its maker is, so it is made here and not by the clone. */
    failure->stage = STAGE_CLONE;
    if (fine && plan->create & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0) {
      fail(failure, "unshare");
      fine = false;
    }
    if (fine) interpret(&child);
  }
  if (link_fd < 0) part_failed(failure);
  struct {
    uint32_t kind;
    struct failure failure;
  } record = {.kind = RECORD_FAILED, .failure = *failure};
  /* What is a fork of it by now may have another to tell (interpret_hook.c). */
  if (write(settled ? link_fd : link, &record, sizeof(record)) < 0) _exit(2);
  _exit(1);
}

int clone_outside(const struct plan *plan, const int stdio[3], struct failure *failure) {
  if (plan->outside == 0) return 0;
  if (outside_prepare(&child, plan, stdio) == 0) return 0;
  *failure = child.failure;
  return -1;
}

pid_t clone_child(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, uint64_t flags,
                  int into, int cgroup, int *pidfd, struct failure *failure) {
  uint64_t create = plan->create & ~((uint64_t)CLONE_NEWCGROUP | made);
  struct clone_args arguments = {
      .flags = flags | create | (into >= 0 ? (uint64_t)CLONE_INTO_CGROUP : 0),
      .pidfd = (uintptr_t)pidfd,
      .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD, /* a CLONE_PARENT child has that of its maker */
      .cgroup = into >= 0 ? (unsigned)into : 0,
  };
  failure->stage = STAGE_CLONE;
  pid_t pid = sys_clone3(&arguments);
  if (pid == 0) run(plan, stdio, link, go, cgroup, false);
  return pid < 0 ? fail(failure, "clone3") : pid;
}

_Noreturn void clone_unborn(const struct plan *plan, const int stdio[3], int link, int cgroup) {
  run(plan, stdio, link, GO_AT_ONCE, cgroup, true);
}

/* Above those that have a fixed place in the new process. Of a path that is `#` and a number it is one that was given. */
static int open_namespace(const struct plan *plan, const char *path, const int *given, size_t count) {
  int least = start_fd(plan) + 1;
  if (*path == '#') {
    size_t index = strtoul(path + 1, NULL, 10);
    errno = EBADF;
    return index < count ? fcntl(given[index], F_DUPFD_CLOEXEC, least) : -1;
  }
  autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
  return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, least);
}

int clone_open_joined(struct plan *plan, const int *given, size_t count, struct failure *failure) {
  failure->stage = STAGE_JOIN;
  plan->joined = calloc((size_t)plan->join.count + 1, sizeof(int));
  if (!plan->joined) return fail(failure, "calloc");
  struct reader items = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    read_u32(&items);
    failure->index = i;
    plan->joined[i] = open_namespace(plan, read_text(&items), given, count);
    if (plan->joined[i] < 0) return fail(failure, "open");
  }
  failure->index = plan->join.count;
  if (plan->peer && (plan->peer_fd = open_namespace(plan, plan->peer, given, count)) < 0) return fail(failure, "open");
  return 0;
}

int clone_join(const struct plan *plan, int *cgroup, struct failure *failure) {
  failure->stage = STAGE_JOIN;
  struct namespaces joined = {.count = plan->join.count};
  errno = EINVAL; /* more than there are kinds of them */
  if (joined.count > NAMESPACES_MAXIMUM) return fail(failure, "setns");
  struct reader items = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    joined.types[i] = read_u32(&items);
    read_text(&items);
    joined.fds[i] = plan->joined[i];
  }
  return namespaces_enter(&joined, cgroup, failure);
}

pid_t clone_stage(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, int into,
                    struct failure *failure) {
  int cgroup = -1;
  if (clone_outside(plan, stdio, failure) < 0) return -1;
  if (clone_join(plan, &cgroup, failure) < 0) return -1;
  return clone_child(plan, made, stdio, link, go, CLONE_PARENT, into, cgroup, NULL, failure);
}
