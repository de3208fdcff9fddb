#include "clone.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "child.h"

/* Descriptors and signals of the new process as its program shall find them. */
static int settle(const int stdio[3], int link) {
  for (int fd = 0; fd < 3; fd++)
    if (stdio[fd] >= 0 && dup2(stdio[fd], fd) < 0) return -1;
  if (link != LINK_FD && dup3(link, LINK_FD, O_CLOEXEC) < 0) return -1;
  /* Nothing of the host may be open where the container's own files come into play (CVE-2024-21626). */
  if (sys_close_range(LINK_FD + 1, ~0U, 0) < 0) return -1;
  sigset_t none;
  sigemptyset(&none);
  /* What launcher_main() has changed of the defaults that it set. */
  signal(SIGPIPE, SIG_DFL);
  signal(SIGCHLD, SIG_DFL);
  return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Between clone and execve: the body of every new process. `container`: a pidfd to take the cgroup namespace of, or -1. */
_Noreturn static void run(const struct plan *plan, const int stdio[3], int link, enum go go, int container) {
  static struct child child = {.root = -1, .empty_mount = -1};
  child.plan = plan;
  child.gone_on = go == GO_AT_ONCE;
  struct failure *failure = &child.failure;

  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  failure->stage = STAGE_ENTER;
  if (container >= 0 && setns(container, CLONE_NEWCGROUP) < 0) {
    fail(failure, "setns");
  } else if (failure->stage = STAGE_STDIO, settle(stdio, link) < 0) {
    fail(failure, "dup2");
  } else {
    link = LINK_FD;
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
  struct {
    uint32_t kind;
    struct failure failure;
  } record = {.kind = RECORD_FAILED, .failure = *failure};
  if (write(link, &record, sizeof(record)) < 0) _exit(2);
  _exit(1);
}

pid_t clone_child(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, uint64_t flags,
                  int into, int container, int *pidfd, struct failure *failure) {
  uint64_t create = plan->create & ~((uint64_t)CLONE_NEWCGROUP | made);
  struct clone_args arguments = {
      .flags = flags | create | (into >= 0 ? (uint64_t)CLONE_INTO_CGROUP : 0),
      .pidfd = (uintptr_t)pidfd,
      .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD, /* a CLONE_PARENT child has that of its maker */
      .cgroup = into >= 0 ? (unsigned)into : 0,
  };
  failure->stage = STAGE_CLONE;
  pid_t pid = sys_clone3(&arguments);
  if (pid == 0) run(plan, stdio, link, go, container);
  return pid < 0 ? fail(failure, "clone3") : pid;
}

/* Open all first: the paths are of the host, and the first mount namespace joined would take them away. */
static int join_namespaces(const struct plan *plan, struct failure *failure) {
  if (plan->join.count == 0) return 0;
  failure->stage = STAGE_JOIN;
  int *fds = calloc(plan->join.count, sizeof(int));
  if (!fds) return fail(failure, "calloc");
  struct reader items = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    read_u32(&items);
    failure->index = i;
    fds[i] = open(read_text(&items), O_RDONLY | O_CLOEXEC);
    if (fds[i] < 0) return fail(failure, "open");
  }
  /* A user namespace first: with its privileges those that belong to it can be joined. A mount namespace last. */
  for (int round = 0; round < 3; round++) {
    items = plan->join.items;
    for (uint32_t i = 0; i < plan->join.count; i++) {
      uint32_t type = read_u32(&items);
      read_text(&items);
      int due = type == CLONE_NEWUSER ? 0 : type == CLONE_NEWNS ? 2 : 1;
      failure->index = i;
      if (due == round && setns(fds[i], (int)type) < 0) return fail(failure, "setns");
    }
  }
  return 0; /* the descriptors end with this process */
}

pid_t clone_stage(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, int into,
                    struct failure *failure) {
  if (join_namespaces(plan, failure) < 0) return -1;
  return clone_child(plan, made, stdio, link, go, CLONE_PARENT, into, -1, NULL, failure);
}
