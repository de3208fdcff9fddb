/*
 * The unpacker: see unpack.h.
 *
 * What arrives is taken as hostile. Three things keep it inside the directory, each enough by itself: the process is
 * chrooted into it and holds no other descriptor than its two ends; the parent of every path is resolved by the kernel
 * with openat2(RESOLVE_BENEATH), which refuses `..`, absolute and outward symbolic links; and the last component is never
 * followed. A mount namespace with pivot_root(2) would add nothing for a process that executes nothing but this file,
 * and costs a copy of the host's mount table.
 *
 * A symbolic link inside the tree that stays inside (`lib -> usr/lib`) is followed, as layers made of several parts
 * need; one that is absolute or leads out is not, although chroot would make it harmless: what it means on the host of
 * whoever made the layer can't be known.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "unpacker.h"

static int unpack_touch(struct unpacker *u, struct entry *entry) {
  struct timespec times[2];
  times_of(&entry->head, times);
  if (entry->path[0] == '\0') return utimensat(u->root, ".", times, 0) < 0 ? fail(u, "utimensat") : 0;
  autoclose int fd = open_beneath(u, entry->path, RESOLVE_NO_SYMLINKS);
  /* Something else has taken its place since. */
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail(u, "openat2");
  return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? fail(u, "utimensat") : 0;
}

static int unpack_remove(struct unpacker *u, struct entry *entry) {
  char *slash = strrchr(entry->path, '/');
  const char *name = slash == NULL ? entry->path : slash + 1;
  if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return fail_with(u, "openat2", EXDEV);
  forget_parent(u);
  int parent = u->root;
  if (slash != NULL) {
    *slash = '\0';
    parent = open_beneath(u, entry->path, RESOLVE_NO_SYMLINKS);
    *slash = '/';
    if (parent < 0) return errno == ENOENT ? 0 : fail(u, "openat2");
  }
  int result = remove_tree(parent, name) < 0 ? fail(u, "unlinkat") : 0;
  int error = errno;
  if (parent != u->root) close(parent);
  errno = error;
  return result;
}

/* The tree to work in is what `path` is to a program whose root is ours: from here on it is the root. */
static int descend(struct unpacker *u, const char *path) {
  autoclose int fd = sys_openat2(u->root, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0,
                                 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return fail(u, "openat2");
  if (fchdir(fd) < 0) return fail(u, "fchdir");
  if (chroot(".") < 0) return fail(u, "chroot");
  close(u->root);
  u->root = steal_fd(&fd);
  return 0;
}

static int start(struct unpacker *u, const struct entry *entry) {
  if (entry->head.operation != UNPACK_START || entry->head.mode != UNPACK_VERSION) return fail_with(u, "read", EPROTO);
  if (entry->head.xattrs_length > sizeof u->opaque) return fail_with(u, "read", EBADMSG);
  u->opaque_length = entry->head.xattrs_length;
  memcpy(u->opaque, entry->xattrs, u->opaque_length);
  if (entry->head.major & UNPACK_FOLLOW_LINKS) u->lookups = RESOLVE_IN_ROOT;
  return entry->head.major & UNPACK_AT_PATH ? descend(u, entry->path) : 0;
}

static int perform(struct unpacker *u, struct entry *entry) {
  switch (entry->head.operation) {
    case UNPACK_DIRECTORY: return unpack_directory(u, entry);
    case UNPACK_FILE: return unpack_file(u, entry);
    case UNPACK_SYMLINK:
    case UNPACK_CHARACTER:
    case UNPACK_BLOCK:
    case UNPACK_FIFO: return unpack_special(u, entry);
    case UNPACK_HARDLINK: return unpack_hardlink(u, entry);
    case UNPACK_WHITEOUT: return unpack_whiteout(u, entry);
    case UNPACK_OPAQUE: return unpack_opaque(u, entry);
    case UNPACK_TOUCH: return unpack_touch(u, entry);
    case UNPACK_REMOVE: return unpack_remove(u, entry);
    case UNPACK_MERGE: return unpack_merge(u, entry);
    case UNPACK_CHANGES: return unpack_changes(u, entry);
    default: return fail_with(u, "read", EBADMSG);
  }
}

static const char *operation_name(uint32_t operation) {
  static const char *const names[] = {
    "start",     "start",   "directory", "file",  "symlink", "hardlink", "character",
    "block",     "fifo",    "whiteout",  "opaque", "touch",   "remove",   "end",
    "failed",    "missing", "socket",    "merge",  "changes",
  };
  return operation < sizeof names / sizeof names[0] ? names[operation] : "unknown operation";
}

/* The directory becomes the root of this process, and the only one of its open files beside its two ends. */
static int confine(struct unpacker *u, int status, const char *directory) {
  if (chdir(directory) < 0) return fail(u, "chdir");
  unsigned low = (unsigned)(u->stream < status ? u->stream : status);
  unsigned high = (unsigned)(u->stream < status ? status : u->stream);
  /* 2 stays: the C library's own complaints go there. */
  if (low > 3) sys_close_range(3, low - 1, 0);
  if (high > low + 1 && high > 3) sys_close_range(low + 1 > 3 ? low + 1 : 3, high - 1, 0);
  sys_close_range(high + 1 > 3 ? high + 1 : 3, ~0U, 0);
  if (chroot(".") < 0) return fail(u, "chroot");
  u->root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return u->root < 0 ? fail(u, "open") : 0;
}

static int run(struct unpacker *u, int status, const char *directory, struct entry *entry) {
  if (confine(u, status, directory) < 0) return -1;
  umask(0);
  /* The operations on whole trees hold some descriptors for each level of them. */
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  /* As much as an unprivileged process may have: fewer switches between the writer and us. It is only speed. */
  fcntl(u->stream, F_SETPIPE_SZ, 1024 * 1024);
  if (take_entry(u, entry) < 0 || start(u, entry) < 0) return -1;
  for (;;) {
    if (take_entry(u, entry) < 0) return -1;
    if (entry->head.operation == UNPACK_END) break;
    if (perform(u, entry) < 0) return -1;
  }
  if (entry->head.mode == 1 && syncfs(u->root) < 0) return fail(u, "syncfs");
  return 0;
}

/* A string and its NUL. Nobody can be told when this fails: the reader sees a status that is not whole. */
static void report(int status, const char *text) {
  write_all(status, text, strlen(text) + 1);
}

int unpack_main(int stream, int status, const char *directory) {
  static struct unpacker unpacker;
  static struct entry entry;
  unpacker = (struct unpacker){.stream = stream, .lookups = RESOLVE_BENEATH, .root = -1, .parent = -1, .failed_call = "malloc"};
  signal(SIGPIPE, SIG_IGN);
  unpacker.buffer = malloc(BUFFER_SIZE);
  if (unpacker.buffer != NULL && run(&unpacker, status, directory, &entry) == 0) {
    report(status, "ok");
    return 0;
  }
  char number[16];
  snprintf(number, sizeof number, "%d", errno);
  const char *operation = operation_name(entry.head.operation);
  report(status, "failed");
  report(status, operation);
  report(status, unpacker.failed_call);
  report(status, number);
  report(status, entry.path);
  return 1;
}
