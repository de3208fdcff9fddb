/* The interpreter: one operation after the other, and those that need no more than a system call or two. */
#include "child.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "probe.h"
#include "resolve.h"

/* Tell the monitor something in one datagram. write(2), as a seccomp filter that is loaded already allows that one. */
int tell(const void *data, size_t size) {
  if (link_fd < 0) return 0;
  return write(link_fd, data, size) == (ssize_t)size ? 0 : -1;
}

int tell_with(const void *data, size_t size, int descriptor) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
  return send_with(link_fd, &part, 1, descriptor);
}

int tell_identity(const struct child *child, enum record_kind kind) {
  static uint8_t bytes[4 + IDENTITY_WIRE_MAXIMUM];
  const struct identity *identity = &child->identity;
  uint32_t home = identity->has_home ? (uint32_t)strlen(identity->home) : 0;
  uint32_t head[4] = {kind, identity->uid, identity->gid, identity->count};
  uint32_t home_size = identity->has_home ? home : UINT32_MAX;
  size_t at = 0;
  memcpy(bytes + at, head, sizeof(head));
  at += sizeof(head);
  memcpy(bytes + at, identity->groups, identity->count * sizeof(uint32_t));
  at += identity->count * sizeof(uint32_t);
  memcpy(bytes + at, &home_size, sizeof(home_size));
  at += sizeof(home_size);
  memcpy(bytes + at, identity->home, home);
  return tell(bytes, at + home);
}

static int open_own_procfs(struct child *child) {
  int procfs = open_procfs(child->root);
  if (procfs >= 0) return procfs;
  return errno == 0 ? fail_because(&child->failure, REASON_NOT_PROCFS, "fstatfs") : fail(&child->failure, "openat2");
}

static int op_hostname(struct child *child, struct reader *fields) {
  const char *name = read_text(fields);
  return sethostname(name, strlen(name)) < 0 ? fail(&child->failure, "sethostname") : 0;
}

static int op_domainname(struct child *child, struct reader *fields) {
  const char *name = read_text(fields);
  return setdomainname(name, strlen(name)) < 0 ? fail(&child->failure, "setdomainname") : 0;
}

static int op_sysctl(struct child *child, struct reader *fields) {
  const char *key = read_text(fields), *value = read_text(fields);
  char path[512];
  int size = snprintf(path, sizeof(path), "sys/%s", key);
  if (size < 0 || (size_t)size >= sizeof(path)) {
    errno = ENAMETOOLONG;
    return fail(&child->failure, "openat2");
  }
  /* sysctl(8): dots and slashes change places, so that net.ipv4.conf.eth0/1.forwarding names the link eth0.1. */
  for (char *at = path; *at; at++) *at = *at == '.' ? '/' : *at == '/' && at > path + 3 ? '.' : *at;
  autoclose int procfs = open_own_procfs(child);
  if (procfs < 0) return -1;
  autoclose int fd = open_in_procfs(procfs, path, O_WRONLY);
  if (fd < 0) return fail(&child->failure, "openat2");
  return write(fd, value, strlen(value)) < 0 ? fail(&child->failure, "write") : 0;
}

const char *bring_loopback_up(void) {
  autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "socket";
  struct ifreq request = {.ifr_name = "lo"};
  if (ioctl(fd, SIOCGIFFLAGS, &request) < 0) return "ioctl SIOCGIFFLAGS";
  if (request.ifr_flags & IFF_UP) return NULL;
  request.ifr_flags |= IFF_UP;
  return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? "ioctl SIOCSIFFLAGS" : NULL;
}

static int op_loopback_up(struct child *child, struct reader *fields) {
  (void)fields;
  const char *failed = bring_loopback_up();
  return failed ? fail(&child->failure, failed) : 0;
}

static int op_rlimit(struct child *child, struct reader *fields) {
  uint32_t resource = read_u32(fields);
  struct rlimit64 limit = {.rlim_cur = read_u64(fields), .rlim_max = read_u64(fields)};
  if (child->unborn && resource == RLIMIT_NPROC) return limit_processes_unborn(child, &limit);
  return prlimit64(0, (enum __rlimit_resource)resource, &limit, NULL) < 0 ? fail(&child->failure, "prlimit") : 0;
}

static int op_oom_score_adj(struct child *child, struct reader *fields) {
  if (child->unborn) return 0; /* set_oom_score_adj_unborn() */
  char value[16], self[32], path[64];
  snprintf(value, sizeof(value), "%d", (int)read_u32(fields));
  if (child->outside) {
    /* In its user namespace it owns no file of its own /proc, as it is not dumpable. */
    int written = write_file_at(AT_FDCWD, "/proc/self/oom_score_adj", value, strlen(value));
    return written < 0 ? fail(&child->failure, "write") : 0;
  }
  autoclose int procfs = open_own_procfs(child);
  if (procfs < 0) return -1;
  /* /proc/self is a symlink, and its text is our pid as this procfs counts, whichever pid namespace that is. */
  ssize_t size = readlinkat(procfs, "self", self, sizeof(self) - 1);
  if (size < 0) return fail(&child->failure, "readlink");
  self[size] = '\0';
  snprintf(path, sizeof(path), "%s/oom_score_adj", self);
  autoclose int fd = open_in_procfs(procfs, path, O_WRONLY);
  if (fd < 0) return fail(&child->failure, "openat2");
  return write(fd, value, strlen(value)) < 0 ? fail(&child->failure, "write") : 0;
}

static int op_umask(struct child *child, struct reader *fields) {
  (void)child;
  umask((mode_t)read_u32(fields) & 0777);
  return 0;
}

static int op_keyring(struct child *child, struct reader *fields) {
  (void)fields;
  /* A kernel without keyrings has nothing to hide. */
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) return fail(&child->failure, "keyctl");
  return 0;
}

static int op_no_new_privs(struct child *child, struct reader *fields) {
  (void)fields;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? fail(&child->failure, "prctl PR_SET_NO_NEW_PRIVS") : 0;
}

static int op_chdir(struct child *child, struct reader *fields) {
  const char *path = read_text(fields);
  bool create = read_u8(fields) == 1;
  if (create) {
    autoclose int made = resolve_or_make(child->root, path, MAKE_DIRECTORY);
    if (made < 0) return fail_because(&child->failure, REASON_WORKDIR_INVALID, "mkdir");
  }
  if (chdir(path) < 0) return fail_because(&child->failure, REASON_WORKDIR_INVALID, "chdir");
  /* A directory outside of the root has no path; the kernel says so and C libraries hide it (CVE-2024-21626). */
  char where[PATH_MAX];
  long size = syscall(SYS_getcwd, where, sizeof(where));
  if (size < 0) return fail_because(&child->failure, REASON_WORKDIR_INVALID, "getcwd");
  errno = 0;
  return where[0] == '/' ? 0 : fail_because(&child->failure, REASON_WORKDIR_OUTSIDE, "getcwd");
}

static int op_init(struct child *child, struct reader *fields) {
  const char *program = read_maybe(fields);
  wait_to_go_on(child); /* a child that is forked before the cgroups are entered would stay outside of them */
  return become_init(child, program);
}

static int op_barrier(struct child *child, struct reader *fields) {
  (void)fields;
  wait_to_go_on(child);
  if (child->plan->again) return 0; /* what was done there lasts */
  if (tell_identity(child, RECORD_READY) < 0) return fail(&child->failure, "write");
  wait_for_word();
  return 0;
}

/*
 * Streams that read or write nothing use the container's own /dev/null, where it has one. Else /proc/self/fd would lead to a
 * device node of the host, whose mode a privileged container could change; nor does CRIU dump what is open outside.
 */
static void own_dev_null(struct child *child, int fd, int flags) {
  if (!child->pivoted) return;
  autoclose int null = open_dev_null(child, (uint64_t)flags);
  if (null >= 0) dup2(null, fd);
  child->failure = (struct failure){0};
}

static int settle_stdio(struct child *child) {
  for (int fd = 0; fd < 3; fd++) {
    if (child->plan->stdio[fd] == STDIO_NULL) {
      own_dev_null(child, fd, fd == 0 ? O_RDONLY : O_WRONLY);
      continue;
    }
    struct stat status;
    if (fstat(fd, &status) < 0) continue;
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3)) own_dev_null(child, fd, fcntl(fd, F_GETFL) & O_ACCMODE);
    /* A user that is not root must be able to open /dev/stdout again; pipe and terminal are ours, a file may be anybody's. */
    if (child->identity.uid == 0) continue;
    if (!S_ISFIFO(status.st_mode) && child->plan->stdio[fd] != STDIO_TERMINAL) continue;
    if (fchown(fd, child->identity.uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
      return fail(&child->failure, "fchown");
  }
  return 0;
}

static int op_exec(struct child *child, struct reader *fields) {
  struct list argv_list = read_texts(fields), env_list = read_texts(fields);
  static char home[sizeof("HOME=") + HOME_MAXIMUM];
  char **argv = strings(argv_list, NULL), **environment = strings(env_list, NULL);
  errno = ENOMEM;
  if (!argv || !environment) return fail(&child->failure, "calloc");
  if (child->set_home && child->identity.has_home && !lookup(environment, "HOME")) {
    snprintf(home, sizeof(home), "HOME=%s", child->identity.home);
    environment[env_list.count] = home;
  }
  errno = EINVAL;
  if (!argv[0]) return fail(&child->failure, "execve");
  wait_to_go_on(child);
  if (take_identity(child) < 0) return -1;
  if (tell_identity(child, RECORD_EXECUTING) < 0) return fail(&child->failure, "write");
  return execute(child, argv, environment);
}

/* In a network namespace that was kept, the next so many operations are done already. */
static int op_once(struct child *child, struct reader *fields) {
  uint32_t count = read_u32(fields);
  if (child->plan->again) child->skipped = count;
  return 0;
}

/* The network namespace that we are in, as a descriptor of this number that the program inherits. */
static int op_open_network(struct child *child, struct reader *fields) {
  int number = (int)read_u32(fields);
  autoclose int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(&child->failure, "open");
  if (fd == number) return fcntl(steal_fd(&fd), F_SETFD, 0) < 0 ? fail(&child->failure, "fcntl") : 0;
  return dup2(fd, number) < 0 ? fail(&child->failure, "dup2") : 0;
}

/* Stands in the place of an exec, and of a program that the container need not have. */
static int op_probe(struct child *child, struct reader *fields) {
  uint32_t port = read_u32(fields);
  const char *path = read_maybe(fields);
  wait_to_go_on(child);
  if (take_identity(child) < 0) return -1;
  if (tell_identity(child, RECORD_EXECUTING) < 0) return fail(&child->failure, "write");
  close(link_fd);
  _exit(probe((uint16_t)port, path));
}

static int op_exit(struct child *child, struct reader *fields) {
  (void)fields;
  wait_to_go_on(child);
  if (tell_identity(child, RECORD_EXECUTING) < 0) return fail(&child->failure, "write");
  _exit(0);
}

static int op_hold(struct child *child, struct reader *fields) {
  (void)fields;
  wait_to_go_on(child);
  if (take_identity(child) < 0) return -1;
  if (tell_identity(child, RECORD_EXECUTING) < 0) return fail(&child->failure, "write");
  become_holder();
}

static int (*const operations[OP_COUNT])(struct child *, struct reader *) = {
    [OP_PROPAGATION] = op_propagation,
    [OP_ROOT_OVERLAY] = op_root_overlay,
    [OP_ROOT_BIND] = op_root_bind,
    [OP_MOUNT] = op_mount,
    [OP_BIND] = op_bind,
    [OP_MKDIR] = op_mkdir,
    [OP_MKNOD] = op_mknod,
    [OP_SYMLINK] = op_symlink,
    [OP_WRITE_FILE] = op_write_file,
    [OP_PIVOT_ROOT] = op_pivot_root,
    [OP_MASK] = op_mask,
    [OP_READ_ONLY] = op_read_only,
    [OP_MOUNT_READ_ONLY] = op_mount_read_only,
    [OP_HOSTNAME] = op_hostname,
    [OP_DOMAINNAME] = op_domainname,
    [OP_SYSCTL] = op_sysctl,
    [OP_LOOPBACK_UP] = op_loopback_up,
    [OP_RLIMIT] = op_rlimit,
    [OP_OOM_SCORE_ADJ] = op_oom_score_adj,
    [OP_UMASK] = op_umask,
    [OP_KEYRING] = op_keyring,
    [OP_NO_NEW_PRIVS] = op_no_new_privs,
    [OP_USER] = op_user,
    [OP_CAPABILITIES] = op_capabilities,
    [OP_SECCOMP] = op_seccomp,
    [OP_CHDIR] = op_chdir,
    [OP_INIT] = op_init,
    [OP_BARRIER] = op_barrier,
    [OP_EXEC] = op_exec,
    [OP_NETLINK] = op_netlink,
    [OP_EXIT] = op_exit,
    [OP_FILL] = op_fill,
    [OP_TAKE] = op_take,
    [OP_KEEP_ROOT] = op_keep_root,
    [OP_ADOPT] = op_adopt,
    [OP_TERMINAL] = op_terminal,
    [OP_ONCE] = op_once,
    [OP_PROBE] = op_probe,
    [OP_OPEN_NETWORK] = op_open_network,
    [OP_HOLD] = op_hold,
    [OP_HOOK] = op_hook,
    [OP_LANDLOCK] = op_landlock,
    [OP_ENTER_PIDS] = op_enter_pids,
    [OP_PART] = op_part,
    [OP_IDS] = op_ids,
    [OP_ATTRIBUTE] = op_attribute,
    [OP_MAP_IDS] = op_map_ids,
    [OP_ENTER_USER] = op_enter_user,
    [OP_PERSONALITY] = op_personality,
    [OP_SCHEDULER] = op_scheduler,
    [OP_IO_PRIORITY] = op_io_priority,
    [OP_MEMORY_POLICY] = op_memory_policy,
    [OP_AFFINITY] = op_affinity,
    [OP_ACCOUNT] = op_account,
    [OP_PLACE_INIT] = op_place_init,
};

/* The operations `from` up to `to`. */
static int obey(struct child *child, uint32_t from, uint32_t to) {
  child->failure = (struct failure){.stage = STAGE_OPERATION, .index = from};
  if (child->root < 0) {
    child->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (child->root < 0) return fail(&child->failure, "open /");
  }
  struct reader items = child->plan->operations.items;
  bool settled = false;
  for (uint32_t i = 0; i < to; i++) {
    struct operation operation = read_operation(&items);
    if (i < from) continue;
    child->failure = (struct failure){.stage = STAGE_OPERATION, .index = i};
    if (child->skipped > 0) {
      child->skipped--;
      continue;
    }
    /* A process for a hook goes through what its program will, but for the other hooks. */
    if (child->hook && operation.code == OP_HOOK) continue;
    if (child->hook && (operation.code == OP_INIT || operation.code == OP_EXEC)) return execute_hook(child);
    /* As long as we are root still, and before a filter may forbid it. */
    bool late = operation.code == OP_CAPABILITIES || operation.code == OP_SECCOMP || operation.code == OP_LANDLOCK ||
                operation.code == OP_INIT || operation.code == OP_PART || operation.code == OP_EXEC;
    if (late && !settled && !child->hook) {
      if (settle_stdio(child) < 0) return -1;
      settled = true;
      child->failure = (struct failure){.stage = STAGE_OPERATION, .index = i};
    }
    /* Whatever the plan says, no program runs where the container can't see it; and the monitor waits for the birth. */
    bool lasts = operation.code == OP_INIT || operation.code == OP_EXEC || operation.code == OP_PROBE ||
                 operation.code == OP_EXIT;
    if (lasts && op_enter_pids(child, NULL) < 0) return -1;
    if (operations[operation.code](child, &operation.fields) < 0) return -1;
  }
  return 0;
}

int interpret_outside(struct child *child) {
  return obey(child, 0, child->plan->outside);
}

int interpret(struct child *child) {
  if (obey(child, child->plan->outside, child->plan->operations.count) < 0) return -1;
  errno = EINVAL; /* a plan without an exec */
  return fail(&child->failure, "execve");
}
