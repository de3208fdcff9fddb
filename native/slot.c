#include "slot.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"

enum { STACK_SIZE = 1 << 20 }; /* of addresses; memory is taken as it is touched */

/* Namespaces that begin empty, and so can begin early. A mount namespace is a copy of the host's as it is at that time. */
enum { EARLY = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS };

struct slot {
  size_t count;
  char *const *parents;
  char (*directories)[PATH_MAX]; /* as they are called now */
  pid_t stub;
  int wake[2];
  uint32_t namespaces; /* that the stub has made */

  /* What the stub is to clone, and what came of it. */
  const struct plan *plan;
  const int *stdio;
  int link, into;
  enum go go;
  pid_t pid;
  struct failure failure;
};

/* Where limits or missing rights forbid it, the new process makes its namespaces itself, and tells what failed. */
static uint32_t make_namespaces(void) {
  autoclose int home = sys_pidfd_open(getppid());
  /* To go back is the harder part: is it allowed? */
  if (home < 0 || setns(home, CLONE_NEWUTS) < 0 || unshare(EARLY) < 0) return 0;
  bring_loopback_up(); /* where that fails, the plan's own step says why */
  return EARLY;
}

/* Whether it will be in another user namespace than we are, which all others that it makes are to belong to. */
static bool changes_users(const struct plan *plan) {
  bool joins = false;
  struct reader joined = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    joins |= read_u32(&joined) == CLONE_NEWUSER;
    read_text(&joined);
  }
  return joins || plan->create & CLONE_NEWUSER;
}

/* Of the namespaces that are there keep those that the plan creates, and leave the others. Returns what is kept. */
static int keep_namespaces(struct slot *slot, uint32_t *kept) {
  *kept = changes_users(slot->plan) ? 0 : slot->plan->create & slot->namespaces;
  uint32_t left = slot->namespaces & ~*kept;
  if (left == 0) return 0;
  autoclose int home = sys_pidfd_open(getppid());
  if (home < 0) return fail(&slot->failure, "pidfd_open");
  return setns(home, (int)left) < 0 ? fail(&slot->failure, "setns") : 0;
}

/*
 * The stub. It shares memory and descriptors with its monitor, so that it sees a plan that came after it was made. No
 * thread: it has a pid and cgroups of its own. They share errno and the like too, so just one of both runs at a time:
 * the monitor waits while the stub prepares and while it clones, the stub sleeps in read(2) in between.
 */
static int stub_main(void *argument) {
  struct slot *slot = argument;
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  prctl(PR_SET_NAME, "podling-slot");
  for (size_t i = 0; i < slot->count; i++) {
    autoclose int directory = open(slot->directories[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || write_file_at(directory, "cgroup.procs", "0", 1) < 0) return 1;
  }
  slot->namespaces = make_namespaces();
  slot->pid = -1; /* prepared */
  char word;
  if (write(slot->wake[1], "r", 1) != 1) return 1;
  if (read(slot->wake[1], &word, 1) != 1) return 1;
  uint32_t kept;
  /* What a stage opens is none of the monitor's. */
  if (slot->plan->outside > 0 && unshare(CLONE_FILES) < 0) {
    fail(&slot->failure, "unshare");
    return 1;
  }
  if (keep_namespaces(slot, &kept) < 0) return 1;
  slot->pid = clone_stage(slot->plan, kept, slot->stdio, slot->link, slot->go, slot->into, &slot->failure);
  return 0;
}

static void end_stub(struct slot *slot, int signal) {
  if (slot->stub <= 0) return;
  if (signal) kill(slot->stub, signal);
  while (waitpid(slot->stub, NULL, 0) < 0 && errno == EINTR) continue;
  slot->stub = 0;
  close(slot->wake[0]);
  close(slot->wake[1]);
}

void slot_discard(struct slot *slot) {
  if (!slot) return;
  end_stub(slot, SIGKILL);
  for (size_t i = 0; i < slot->count; i++) rmdir(slot->directories[i]);
}

static bool prepare(struct slot *slot) {
  for (size_t i = 0; i < slot->count; i++) {
    snprintf(slot->directories[i], PATH_MAX, "%s/warm-%d", slot->parents[i], getpid());
    if (mkdir(slot->directories[i], 0755) < 0 && errno != EEXIST) return false;
  }
  void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, slot->wake) < 0) return false;
  slot->stub = clone(stub_main, (char *)stack + STACK_SIZE, CLONE_VM | CLONE_FILES | SIGCHLD, slot);
  if (slot->stub < 0) return false;
  /* The stub holds the other end open as long as it lives, and its own copy of it is this one: wait for its death too. */
  siginfo_t info = {0};
  for (char word;;) {
    struct pollfd polled = {.fd = slot->wake[0], .events = POLLIN};
    if (poll(&polled, 1, 1) > 0) return read(slot->wake[0], &word, 1) == 1;
    if (waitid(P_PID, (id_t)slot->stub, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0) return false;
  }
}

struct slot *slot_wait(int stream, char *const *parents, size_t count, int fds[REQUEST_FDS], size_t *passed) {
  static struct slot slot;
  prctl(PR_SET_NAME, "podling-monitor");
  signal(SIGCHLD, SIG_DFL);
  slot.count = count;
  slot.parents = parents;
  slot.directories = calloc(count + 1, sizeof(*slot.directories));
  if (!slot.directories) _exit(1);
  struct request request;
  bool ready = prepare(&slot) && send_frame(stream, FRAME_WARM, NULL, 0, NULL, 0);
  if (!ready || receive_request(stream, &request, fds, passed) != 1 || request.kind != REQUEST_LAUNCH) {
    slot_discard(&slot);
    _exit(0);
  }
  return &slot;
}

/* The length of the path's directory, PATH without "/name". */
static size_t directory_length(const char *path, size_t length) {
  while (length > 0 && path[length - 1] != '/') length--;
  return length > 0 ? length - 1 : 0;
}

static bool equals(const char *text, const char *start, size_t length) {
  return strlen(text) == length && memcmp(text, start, length) == 0;
}

/* The plan's directory (index of `directories`) that the slot's i-th shall become, or -1. */
static int64_t wanted_directory(const struct slot *slot, const struct plan *plan, size_t i) {
  struct reader attach = plan->attach.items;
  for (uint32_t j = 0; j < plan->attach.count; j++) {
    const char *file = read_text(&attach);
    size_t own = directory_length(file, strlen(file));
    if (!equals(slot->parents[i], file, directory_length(file, own))) continue;
    struct reader directories = plan->directories.items;
    for (uint32_t k = 0; k < plan->directories.count; k++)
      if (equals(read_text(&directories), file, own)) return k;
  }
  return -1;
}

static const char *directory_at(const struct plan *plan, int64_t index) {
  struct reader directories = plan->directories.items;
  for (int64_t i = 0; i < index; i++) read_text(&directories);
  return read_text(&directories);
}

bool slot_take(struct slot *slot, const struct plan *plan, bool *made) {
  bool fits = true;
  for (size_t i = 0; i < slot->count && fits; i++) fits = wanted_directory(slot, plan, i) >= 0;
  /* Only a process whose memory is its own may enter a time namespace (setns(2)). */
  struct reader joined = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    if (read_u32(&joined) == CLONE_NEWTIME) fits = false;
    read_text(&joined);
  }
  size_t renamed = 0;
  for (; fits && renamed < slot->count; renamed++) {
    int64_t index = wanted_directory(slot, plan, renamed);
    const char *wanted = directory_at(plan, index);
    if (rename(slot->directories[renamed], wanted) < 0) fits = false;
    else {
      snprintf(slot->directories[renamed], PATH_MAX, "%s", wanted);
      made[index] = true;
    }
  }
  if (!fits) {
    slot_discard(slot);
    memset(made, 0, plan->directories.count * sizeof(bool));
  }
  return fits;
}

bool slot_covers(const struct slot *slot, const char *attach) {
  if (!slot) return false;
  size_t length = directory_length(attach, strlen(attach));
  for (size_t i = 0; i < slot->count; i++)
    if (equals(slot->directories[i], attach, length)) return true;
  return false;
}

pid_t slot_clone(struct slot *slot, const struct plan *plan, const int stdio[3], int link, enum go go, int into,
                 struct failure *failure) {
  slot->plan = plan;
  slot->stdio = stdio;
  slot->link = link;
  slot->go = go;
  slot->into = into;
  slot->failure = (struct failure){.stage = STAGE_CLONE, .error = ESRCH};
  if (write(slot->wake[0], "w", 1) != 1) return fail(failure, "write");
  end_stub(slot, 0);
  if (slot->pid <= 0) *failure = slot->failure;
  return slot->pid;
}

void slot_sweep(char *const *parents, size_t count) {
  for (size_t i = 0; i < count; i++) {
    DIR *entries = opendir(parents[i]);
    if (!entries) continue;
    /* Of a slot that lives, the stub is inside and the kernel refuses. One that has not entered yet loses its directory,
     * sees that, and is no slot then. */
    for (struct dirent *entry; (entry = readdir(entries));)
      if (strncmp(entry->d_name, "warm-", strlen("warm-")) == 0) unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
    closedir(entries);
  }
}
