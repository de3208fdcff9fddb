#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "slot.h"

enum { DEPTH_MAXIMUM = 64, BATCH = 256, MAKE_TRIES = 16 };

static const char *text_at(const struct list *list, uint32_t index) {
  struct reader items = list->items;
  for (uint32_t i = 0; i < index; i++) read_text(&items);
  return read_text(&items);
}

int cgroup_make(const struct plan *plan, bool *made, struct failure *failure) {
  const uint32_t shared = plan->shared.count, count = shared + plan->directories.count;
  for (int tries = 0;; tries++) {
    struct reader others = plan->shared.items, own = plan->directories.items;
    uint32_t i = 0;
    for (; i < count; i++) {
      bool is_new = mkdir(read_text(i < shared ? &others : &own), 0755) == 0;
      if (!is_new && errno != EEXIST) break;
      if (is_new && i >= shared) made[i - shared] = true;
    }
    if (i == count) return 0;
    failure->stage = STAGE_CGROUP_DIRECTORY;
    failure->index = i;
    /* A parent that we found may be removed by a container that made it and ends just now. Begin again. */
    if (errno != ENOENT || i == 0 || tries == MAKE_TRIES) return fail(failure, "mkdir");
  }
}

/* A device filter of the cgroup2 kind. It lives as long as the cgroup. */
static int attach_device_program(const struct plan *plan, struct failure *failure) {
  struct blob program = plan->device_program;
  if (program.size == 0 || !plan->unified) return 0;
  failure->stage = STAGE_DEVICE_PROGRAM;
  autoclose int directory = open(plan->unified, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return fail(failure, "open");
  union bpf_attr load = {
      .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
      .insns = (uintptr_t)program.data,
      .insn_cnt = program.size / (uint32_t)sizeof(struct bpf_insn),
      .license = (uintptr_t) "Apache-2.0",
  };
  autoclose int loaded = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
  if (loaded < 0) return fail(failure, "bpf BPF_PROG_LOAD");
  union bpf_attr attach = {
      .target_fd = (uint32_t)directory,
      .attach_bpf_fd = (uint32_t)loaded,
      .attach_type = BPF_CGROUP_DEVICE,
      .attach_flags = BPF_F_ALLOW_MULTI,
  };
  if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0) return fail(failure, "bpf BPF_PROG_ATTACH");
  return 0;
}

int cgroup_limit(const struct plan *plan, struct failure *failure) {
  struct reader items = plan->writes.items;
  for (uint32_t i = 0; i < plan->writes.count; i++) {
    const char *path = read_text(&items), *value = read_text(&items);
    bool optional = read_u8(&items) == 1;
    if (write_file_at(AT_FDCWD, path, value, strlen(value)) == 0 || optional) continue;
    failure->stage = STAGE_CGROUP_WRITE;
    failure->index = i;
    return fail(failure, "write");
  }
  return attach_device_program(plan, failure);
}

int cgroup_attach(const struct plan *plan, pid_t pid, const struct slot *slot, struct failure *failure) {
  char text[16];
  int size = snprintf(text, sizeof(text), "%d", pid);
  struct reader items = plan->attach.items;
  for (uint32_t i = 0; i < plan->attach.count; i++) {
    const char *file = read_text(&items);
    if (slot_covers(slot, file) || write_file_at(AT_FDCWD, file, text, (size_t)size) == 0) continue;
    failure->stage = STAGE_CGROUP_ATTACH;
    failure->index = i;
    return fail(failure, "write");
  }
  return 0;
}

/* The pids of one cgroup.procs, at most BATCH of them. */
static size_t read_pids(int directory, pid_t pids[BATCH]) {
  autoclose int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[BATCH * 12];
  size_t length = 0, count = 0;
  for (ssize_t got; length < sizeof(text) - 1 && (got = read(fd, text + length, sizeof(text) - 1 - length)) > 0;)
    length += (size_t)got;
  text[length] = '\0';
  for (char *at = text; *at && count < BATCH;) {
    pids[count++] = (pid_t)strtol(at, &at, 10);
    while (*at == '\n') at++;
  }
  return count;
}

static bool listed(const pid_t *pids, size_t count, pid_t pid) {
  for (size_t i = 0; i < count; i++)
    if (pids[i] == pid) return true;
  return false;
}

/* Signal the processes of a cgroup and of those below it. */
static void signal_tree(int directory, int signal, int depth) {
  pid_t before[BATCH], after[BATCH];
  int pidfds[BATCH];
  size_t count = read_pids(directory, before);
  for (size_t i = 0; i < count; i++) pidfds[i] = before[i] > 0 ? sys_pidfd_open(before[i]) : -1;
  /* A pid that was read may be another process's by now. One that is listed still, after its pidfd was opened, is not. */
  size_t still = read_pids(directory, after);
  for (size_t i = 0; i < count; i++) {
    if (pidfds[i] >= 0 && listed(after, still, before[i])) sys_pidfd_send_signal(pidfds[i], signal);
    close_fd(&pidfds[i]);
  }
  if (depth == DEPTH_MAXIMUM) return;
  int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return;
  DIR *entries = fdopendir(again);
  if (!entries) {
    close_fd(&again);
    return;
  }
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    autoclose int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) signal_tree(below, signal, depth + 1);
  }
  closedir(entries);
}

static int open_directory(const char *path) {
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int write_in(const char *directory_path, const char *file, const char *value) {
  autoclose int directory = open_directory(directory_path);
  return directory < 0 ? -1 : write_file_at(directory, file, value, strlen(value));
}

static bool holds(const char *directory_path, const char *file, const char *line) {
  char text[512];
  autoclose int directory = open_directory(directory_path);
  return directory >= 0 && read_file_at(directory, file, text, sizeof(text)) > 0 && strstr(text, line) != NULL;
}

/* The v1 directory whose processes stand for all, where there is no cgroup2. */
static int open_v1(const struct plan *plan) {
  if (plan->freezer) return open_directory(plan->freezer);
  if (plan->attach.count == 0) return -1;
  char path[PATH_MAX];
  const char *procs = text_at(&plan->attach, 0), *slash = strrchr(procs, '/');
  if (!slash || slash - procs >= PATH_MAX) return -1;
  memcpy(path, procs, (size_t)(slash - procs));
  path[slash - procs] = '\0';
  return open_directory(path);
}

/*
 * A cgroup that cgroup.kill was written to once is good for nothing more: Linux 6.18 kills at its birth what is cloned into
 * it (CLONE_INTO_CGROUP), as cgroup_post_fork() compares how often that was done with the cgroup of whoever clones. Where
 * another run may begin in it, its processes are killed one by one, frozen, so that none forks away meanwhile.
 */
static void kill_unified(const struct plan *plan) {
  if (plan->restart == RESTART_NEVER) {
    write_in(plan->unified, "cgroup.kill", "1");
    return;
  }
  autoclose int directory = open_directory(plan->unified);
  if (directory < 0) return;
  write_in(plan->unified, "cgroup.freeze", "1");
  signal_tree(directory, SIGKILL, 0);
  write_in(plan->unified, "cgroup.freeze", "0");
}

void cgroup_signal(const struct plan *plan, int signal) {
  if (plan->unified) {
    if (signal == SIGKILL) {
      kill_unified(plan);
      /* A frozen v1 freezer holds even SIGKILL back. */
      if (plan->freezer) write_in(plan->freezer, "freezer.state", "THAWED");
      return;
    }
    autoclose int directory = open_directory(plan->unified);
    if (directory >= 0) signal_tree(directory, signal, 0);
    return;
  }
  autoclose int directory = open_v1(plan);
  if (directory < 0) return;
  /* Frozen processes can't fork away from us between the reading of the list and the signal. */
  if (signal == SIGKILL && plan->freezer) write_in(plan->freezer, "freezer.state", "FROZEN");
  signal_tree(directory, signal, 0);
  if (signal == SIGKILL && plan->freezer) write_in(plan->freezer, "freezer.state", "THAWED");
}

static bool tree_populated(int directory, int depth) {
  pid_t pids[BATCH];
  if (read_pids(directory, pids) > 0) return true;
  if (depth == DEPTH_MAXIMUM) return false;
  int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return false;
  DIR *entries = fdopendir(again);
  if (!entries) {
    close_fd(&again);
    return false;
  }
  bool found = false;
  for (struct dirent *entry; !found && (entry = readdir(entries));) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    autoclose int below = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    found = below >= 0 && tree_populated(below, depth + 1);
  }
  closedir(entries);
  return found;
}

bool cgroup_populated(const struct plan *plan) {
  if (plan->unified) return holds(plan->unified, "cgroup.events", "populated 1");
  autoclose int directory = open_v1(plan);
  return directory >= 0 && tree_populated(directory, 0);
}

uint64_t cgroup_oom_kills(const struct plan *plan) {
  char text[512];
  if (!plan->oom_events || read_file_at(AT_FDCWD, plan->oom_events, text, sizeof(text)) <= 0) return 0;
  const char *line = strstr(text, "oom_kill "); /* "oom_kill_disable 0" of v1 has no blank there */
  return line ? strtoull(line + strlen("oom_kill "), NULL, 10) : 0;
}

int cgroup_freeze(const struct plan *plan, bool freeze) {
  if (plan->unified) return write_in(plan->unified, "cgroup.freeze", freeze ? "1" : "0");
  if (plan->freezer) return write_in(plan->freezer, "freezer.state", freeze ? "FROZEN" : "THAWED");
  errno = EOPNOTSUPP;
  return -1;
}

bool cgroup_is(const struct plan *plan, bool frozen) {
  if (plan->unified) return holds(plan->unified, "cgroup.events", frozen ? "frozen 1" : "frozen 0");
  return holds(plan->freezer, "freezer.state", frozen ? "FROZEN" : "THAWED");
}

static bool remove_below(int parent, const char *name, int depth);

/* Were there any directories in it? Takes the descriptor. */
static bool remove_children(int directory, int depth) {
  DIR *entries = fdopendir(directory);
  if (!entries) {
    close_fd(&directory);
    return false;
  }
  bool found = false;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    found = true;
    remove_below(dirfd(entries), entry->d_name, depth + 1);
  }
  closedir(entries);
  return found;
}

static bool remove_below(int parent, const char *name, int depth) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
  if (depth == DEPTH_MAXIMUM) return false;
  /* EBUSY: processes, or directories below that the container made. */
  int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) return errno == ENOENT;
  return remove_children(directory, depth) && (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT);
}

/* Is it a directory of the container alone, and no parent that it shares with others? */
static bool is_own(const struct plan *plan, const char *directory) {
  if (plan->unified && strcmp(directory, plan->unified) == 0) return true;
  size_t length = strlen(directory);
  struct reader attach = plan->attach.items;
  for (uint32_t i = 0; i < plan->attach.count; i++) {
    const char *procs = read_text(&attach);
    if (strncmp(procs, directory, length) == 0 && procs[length] == '/' && !strchr(procs + length + 1, '/')) return true;
  }
  return false;
}

void cgroup_clear(const struct plan *plan, const bool *made) {
  struct reader directories = plan->directories.items;
  for (uint32_t i = 0; i < plan->directories.count; i++) {
    const char *path = read_text(&directories);
    if (!made[i] || !is_own(plan, path)) continue;
    int directory = open_directory(path);
    if (directory >= 0) remove_children(directory, 0);
  }
}

bool cgroup_remove(const struct plan *plan, bool *made) {
  bool done = true;
  for (uint32_t i = plan->directories.count; i-- > 0;) {
    if (!made[i]) continue;
    if (remove_below(AT_FDCWD, text_at(&plan->directories, i), 0)) made[i] = false;
    else done = false;
  }
  return done;
}

bool cgroup_leave(const struct plan *plan) {
  bool last = true;
  for (uint32_t i = plan->shared.count; i-- > 0;)
    if (rmdir(text_at(&plan->shared, i)) < 0 && errno != ENOENT) last = false;
  return last;
}
