#include "process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "child.h"
#include "clock.h"
#include "clone.h"
#include "listener.h"
#include "outside.h"
#include "slot.h"

void process_clear(struct process *process) {
  *process = (struct process){.pidfd = -1, .link = -1, .listener = -1};
  console_clear(&process->console);
}

/* Tell the monitor from a stage process, and end it. */
_Noreturn static void end_stage(int link, const struct failure *failure, pid_t pid) {
  struct {
    uint32_t kind;
    struct failure failure;
  } failed = {.kind = RECORD_FAILED, .failure = *failure};
  uint32_t cloned[2] = {RECORD_CLONED, (uint32_t)pid};
  ssize_t told = pid > 0 ? write(link, cloned, sizeof(cloned)) : write(link, &failed, sizeof(failed));
  _exit(told < 0);
}

static int open_into(const struct plan *plan, struct failure *failure) {
  if (!plan->into) return -1;
  failure->stage = STAGE_CGROUP_ENTER;
  int fd = open(plan->into, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(failure, "open");
  return fd;
}

static int open_link(int ends[2], struct failure *failure) {
  failure->stage = STAGE_FORK;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return fail(failure, "socketpair");
  return 0;
}

static pid_t fork_stage(int into) {
  struct clone_args arguments = {
      .exit_signal = SIGCHLD,
      .flags = into >= 0 ? (uint64_t)CLONE_INTO_CGROUP : 0,
      .cgroup = into >= 0 ? (unsigned)into : 0,
  };
  pid_t pid = sys_clone3(&arguments);
  if (pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  return pid;
}

/* The stage of one that is brought in by a plan which names where to itself. */
_Noreturn static void enter_named(const struct plan *plan, const int stdio[3], int link) {
  struct failure failure = {0};
  int cgroup = -1;
  if (set_affinity_unborn(plan, &failure) < 0 || cgroup_attach(plan, 0, NULL, &failure) < 0 ||
      set_oom_score_adj_unborn(plan, &failure) < 0 ||
      set_attributes_unborn(plan, &failure) < 0 || clone_join(plan, &cgroup, &failure) < 0)
    end_stage(link, &failure, -1);
  clone_unborn(plan, stdio, link, cgroup);
}

int process_start(struct process *process, const struct plan *plan, const struct namespaces *kept, const int stdio[3],
                  enum go go, struct slot *slot, struct failure *failure) {
  int ends[2];
  if (open_link(ends, failure) < 0) return -1;
  process->link = ends[0];
  process->listens = plan->listener;
  autoclose int link = ends[1];
  autoclose int into = open_into(plan, failure);
  if (plan->into && into < 0) return -1;

  if (slot) {
    process->pid = slot_clone(slot, plan, stdio, link, go, into, failure);
    if (process->pid <= 0) return -1;
    process->pidfd = sys_pidfd_open(process->pid);
    return process->pidfd < 0 ? fail(failure, "pidfd_open") : 0;
  }
  if ((kept ? kept->count : plan->join.count) == 0 && plan->outside == 0) {
    process->pid = clone_child(plan, 0, stdio, link, go, CLONE_PIDFD, into, -1, &process->pidfd, failure);
    return process->pid < 0 ? -1 : 0;
  }
  bool enters = plan_enters_pids(plan);
  process->stage = fork_stage(enters ? into : -1);
  if (process->stage < 0) return fail(failure, "clone3");
  if (process->stage > 0) return 0;
  if (enters) enter_named(plan, stdio, link);
  if (!kept) end_stage(link, failure, clone_stage(plan, 0, stdio, link, go, into, failure));
  if (clone_outside(plan, stdio, failure) < 0) end_stage(link, failure, -1);
  failure->stage = STAGE_CLONE;
  if (namespaces_enter(kept, NULL, failure) < 0) end_stage(link, failure, -1);
  pid_t pid = clone_child(plan, namespaces_types(kept), stdio, link, go, CLONE_PARENT, into, -1, NULL, failure);
  end_stage(link, failure, pid);
}

void process_forget(struct process *process) {
  close_fd(&process->pidfd);
  close_fd(&process->link);
  close_fd(&process->listener);
  free(process->identity);
  /* Those who were attached may have to read still what it left. */
  struct console console = process->console;
  console.ending = false;
  console.last = '\0';
  process_clear(process);
  process->console = console;
}

/* The namespaces that pid 1 does not share with its monitor. */
static int namespaces_of(const struct plan *plan) {
  uint32_t types = plan->create;
  struct reader items = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    types |= read_u32(&items);
    read_text(&items);
  }
  return (int)types;
}

/* The stage of an exec: read the plan, enter, and obey it until the process is born. */
_Noreturn static void enter(const struct plan *container, int pidfd, int stream, const struct blob *given, int link,
                            const int *passed, size_t count) {
  struct failure failure = {.stage = STAGE_PLAN};
  struct plan plan;
  size_t size = given ? given->size : 0;
  const void *bytes = given ? given->data : receive_plan(stream, &size);
  errno = EINVAL;
  if (!bytes || !plan_decode(&plan, bytes, size)) end_stage(link, &failure, fail(&failure, "read"));

  int stdio[3] = {-1, -1, -1};
  failure.stage = STAGE_STDIO;
  for (size_t i = 0, next = 0; i < array_length(stdio); i++) {
    if (plan.stdio[i] == STDIO_NULL || plan.stdio[i] == STDIO_TERMINAL) continue;
    errno = EINVAL; /* log and input belong to the container itself */
    if (plan.stdio[i] != STDIO_PASS || next == count) end_stage(link, &failure, fail(&failure, "recvmsg"));
    stdio[i] = passed[next++];
  }
  if (cgroup_attach(container, 0, NULL, &failure) < 0) end_stage(link, &failure, -1);
  if (set_oom_score_adj_unborn(&plan, &failure) < 0) end_stage(link, &failure, -1);
  if (set_attributes_unborn(&plan, &failure) < 0) end_stage(link, &failure, -1);
  plan.uid_map = container->uid_map;
  plan.gid_map = container->gid_map;
  failure.stage = STAGE_STDIO;
  if (outside_give_streams(&plan, stdio) < 0) end_stage(link, &failure, fail(&failure, "fchown"));
  int types = namespaces_of(container);
  failure.stage = STAGE_ENTER;
  if (types && setns(pidfd, types) < 0) end_stage(link, &failure, fail(&failure, "setns"));
  plan.create = 0;
  plan.passed = container->passed;
  clone_unborn(&plan, stdio, link, -1);
}

int process_enter(struct process *process, const struct plan *container, const struct process *main, int stream, const struct blob *given,
                  const int *passed, size_t count, struct failure *failure) {
  int ends[2];
  if (open_link(ends, failure) < 0) return -1;
  process->link = ends[0];
  process->listens = container->listener;
  process->listens.container = (uint32_t)main->pid;
  autoclose int link = ends[1];
  /* Here and not in the stage, whose own cgroup would lie outside of the cgroup namespace then: nsdelegate refuses that. */
  autoclose int into = open_into(container, failure);
  if (container->into && into < 0) return -1;
  failure->stage = STAGE_CLONE;
  process->stage = fork_stage(into);
  if (process->stage == 0) enter(container, main->pidfd, stream, given, link, passed, count);
  return process->stage < 0 ? fail(failure, "clone3") : 0;
}

/*
 * The stage has cloned: its work is done, and the new process is our child. Were it not, this would be the word of a
 * container about a process of the host.
 */
static void adopt(struct process *process, pid_t pid) {
  siginfo_t info;
  if (process->pid > 0 || pid <= 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return;
  process->pid = pid;
  process->pidfd = sys_pidfd_open(pid);
  if (process->pidfd < 0) {
    process->failure.stage = STAGE_CLONE;
    fail(&process->failure, "pidfd_open");
    kill(pid, SIGKILL);
  }
}

static void end_of_stage(struct process *process) {
  if (process->stage <= 0) return;
  while (waitpid(process->stage, NULL, 0) < 0 && errno == EINTR) continue;
  process->stage = 0;
}

/* A record, and the descriptor that may come with it. */
static ssize_t receive_record(int link, void *record, size_t size, int *descriptor) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec part = {.iov_base = record, .iov_len = size};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  ssize_t got = recvmsg(link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(descriptor, CMSG_DATA(header), sizeof(*descriptor));
  return got;
}

static void take_terminal(struct process *process, int master) {
  if (console_take_terminal(&process->console, master) == 0) return;
  process->failure.stage = STAGE_STDIO;
  fail(&process->failure, "ioctl TIOCGPTPEER");
  process_kill(process, SIGKILL);
}

/* Once it is known whose it is. A stage's may be what its next call waits for, so that is its own. */
static void pass_listener(struct process *process) {
  pid_t pid = process->pid > 0 ? process->pid : process->unborn ? process->stage : 0;
  if (process->listener < 0 || pid <= 0) return;
  struct failure failure = {0};
  if (listener_pass_on(&process->listens, process->listener, pid, &failure) < 0) {
    process->failure = failure;
    process_kill(process, SIGKILL);
  }
  close_fd(&process->listener);
}

bool process_listen(struct process *process) {
  static union {
    uint32_t words[2 + IDENTITY_WIRE_MAXIMUM / 4];
    uint8_t bytes[8 + IDENTITY_WIRE_MAXIMUM];
  } record;
  autoclose int descriptor = -1;
  ssize_t size = receive_record(process->link, &record, sizeof(record), &descriptor);
  /* ECONNRESET: it ended with our 'g' unread. The kernel tells that first, and what it said before is there still. */
  if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET)) return true;
  if (size < (ssize_t)sizeof(uint32_t)) {
    close_fd(&process->link);
    end_of_stage(process);
    process->started = process->executing && process->failure.stage == 0 && process->pid > 0;
    return false;
  }
  size_t rest = (size_t)size - sizeof(uint32_t);
  switch (record.words[0]) {
    case RECORD_CLONED:
      if (rest >= sizeof(uint32_t)) adopt(process, (pid_t)record.words[1]);
      end_of_stage(process);
      pass_listener(process);
      break;
    case RECORD_READY:
    case RECORD_EXECUTING:
      if (process->executing || process->failure.stage != 0) break;
      free(process->identity);
      process->identity = malloc(rest);
      process->identity_size = process->identity ? rest : 0;
      if (process->identity) memcpy(process->identity, record.words + 1, rest);
      process->executing = record.words[0] == RECORD_EXECUTING;
      /* Not with the end of the link, which an init may hold on to after its program has written something. */
      if (process->executing) process->started_at = now_ms();
      break;
    case RECORD_TERMINAL:
      if (descriptor >= 0 && process->console.awaited) take_terminal(process, steal_fd(&descriptor));
      break;
    case RECORD_LISTENER:
      if (descriptor < 0 || process->listener >= 0 || rest < sizeof(uint32_t)) break;
      process->listener = steal_fd(&descriptor);
      process->unborn = record.words[1] == 1;
      pass_listener(process);
      break;
    case RECORD_PARTED: process->parted = true; break;
    case RECORD_FAILED:
      if (rest >= sizeof(struct failure)) memcpy(&process->failure, record.words + 1, sizeof(struct failure));
      break;
    default: break;
  }
  return true;
}

static int write_map(pid_t pid, const char *name, const char *map) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  return write_file_at(AT_FDCWD, path, map, strlen(map));
}

int process_map_ids(const struct process *process, const struct plan *plan, struct failure *failure) {
  if (!(plan->create & CLONE_NEWUSER) || plan->again) return 0; /* its user namespace has them then */
  failure->stage = STAGE_ID_MAP;
  if (write_map(process->pid, "uid_map", plan->uid_map) < 0 || write_map(process->pid, "gid_map", plan->gid_map) < 0)
    return fail(failure, "write");
  return 0;
}

void process_go_on(struct process *process) {
  if (process->link >= 0) send(process->link, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool process_reap(struct process *process) {
  if (process->dead) return true;
  if (process->pid <= 0) return false;
  siginfo_t info = {0};
  if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG) < 0) {
    if (errno != ECHILD) return false;
    /* Not ours to wait for any more, so it is gone; waiting on would be for ever. */
    info.si_pid = process->pid;
    info.si_code = CLD_KILLED;
    info.si_status = SIGKILL;
  }
  if (info.si_pid == 0) return false;
  process->dead = true;
  process->signal = info.si_code == CLD_EXITED ? 0 : (uint32_t)info.si_status;
  process->exit_code = process->signal ? 128 + process->signal : (uint32_t)info.si_status;
  close_fd(&process->pidfd);
  return true;
}

void process_kill(struct process *process, int signal) {
  if (process->pidfd >= 0) sys_pidfd_send_signal(process->pidfd, signal);
  else if (process->stage > 0) kill(process->stage, signal);
}

struct started_head process_head(const struct process *process) {
  return (struct started_head){
      .pid = (uint32_t)process->pid, .monitor = (uint32_t)getpid(), .started_at = process->started_at};
}

bool process_announce(const struct process *process, int socket, enum frame_kind kind) {
  struct started_head head = process_head(process);
  return send_frame(socket, kind, &head, sizeof(head), process->identity, process->identity_size);
}
