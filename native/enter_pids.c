/*
 * The moment from which on the container can see a process that is brought in. A process joins a pid namespace only by
 * being born in it (setns(2), CLONE_NEWPID), so all that takes rights on the host is done before, by a stage that no pid of
 * the container's means. What is born then is no more than any process of the container, and nothing is won by tracing it:
 * that it is not dumpable keeps out only those who lack CAP_SYS_PTRACE (ptrace(2), "Ptrace access mode checking").
 */
#include "child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

int set_oom_score_adj_unborn(const struct plan *plan, struct failure *failure) {
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++) {
    struct operation operation = read_operation(&items);
    if (operation.code != OP_OOM_SCORE_ADJ) continue;
    char value[16];
    int size = snprintf(value, sizeof(value), "%d", (int)read_u32(&operation.fields));
    if (write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", value, (size_t)size) == 0) continue;
    *failure = (struct failure){.stage = STAGE_OPERATION, .index = i};
    return fail(failure, "write");
  }
  return 0;
}

int limit_processes_unborn(struct child *child, const struct rlimit64 *limit) {
  struct rlimit64 now;
  if (prlimit64(0, RLIMIT_NPROC, NULL, &now) < 0) return fail(&child->failure, "prlimit");
  /* To raise it takes rights, to lower it none. */
  if (limit->rlim_max > now.rlim_max) {
    now.rlim_max = limit->rlim_max;
    if (prlimit64(0, RLIMIT_NPROC, &now, NULL) < 0) return fail(&child->failure, "prlimit");
  }
  child->processes = *limit;
  child->limits_processes = true;
  return 0;
}

int op_enter_pids(struct child *child, struct reader *fields) {
  (void)fields;
  if (!child->unborn) return 0;
  /* clone(2), as profiles of seccomp that look at its flags know nothing of clone3(2). */
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);
  if (pid < 0) {
    if (errno == EAGAIN) child->failure.stage = STAGE_CLONE; /* a limit, and no filter */
    return fail(&child->failure, "clone");
  }
  if (pid > 0) {
    uint32_t cloned[2] = {RECORD_CLONED, (uint32_t)pid};
    _exit(write(link_fd, cloned, sizeof(cloned)) < 0);
  }
  child->unborn = false;
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_PDEATHSIG");
  struct pollfd link = {.fd = link_fd};
  if (poll(&link, 1, 0) > 0 && link.revents & (POLLHUP | POLLERR)) _exit(1); /* the monitor was dead already */
  if (setsid() < 0) return fail(&child->failure, "setsid");
  if (child->has_terminal && ioctl(0, TIOCSCTTY, 0) < 0) return fail(&child->failure, "ioctl TIOCSCTTY");
  if (child->limits_processes && prlimit64(0, RLIMIT_NPROC, &child->processes, NULL) < 0)
    return fail(&child->failure, "prlimit");
  return 0;
}
