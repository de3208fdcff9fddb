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
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common.h"
#include "layer_tree.h"
#include "unpack.h"

/* Fits the second-level cache; no operation without its contents is longer than half of it. */
#define BUFFER_SIZE (512 * 1024)
#define LONGEST_XATTRS (192 * 1024)
#define MODE_BITS 07777

struct unpacker {
  int stream;
  int root;
  unsigned char *buffer;
  size_t start; /* what is read and not yet used: from start ... */
  size_t end;   /* ... to end */

  /* The directory of the entry before: the next one mostly lies in it too. */
  int parent;
  char parent_path[PATH_MAX];
  bool parent_setgid;

  uint64_t lookups; /* RESOLVE_BENEATH, or RESOLVE_IN_ROOT where the start operation asks for it */
  unsigned char opaque[512]; /* the attributes that make a directory opaque, from the start operation */
  size_t opaque_length;

  const char *failed_call; /* set by whoever returns -1 */
};

struct entry {
  struct unpack_head head;
  char path[PATH_MAX];
  char link[PATH_MAX];
  const char *name; /* last component of path */
  unsigned char xattrs[LONGEST_XATTRS];
};

static int fail(struct unpacker *u, const char *call) {
  u->failed_call = call;
  return -1;
}

static int fail_with(struct unpacker *u, const char *call, int error) {
  errno = error;
  return fail(u, call);
}

/* Have `size` bytes in one piece at start. */
static int need(struct unpacker *u, size_t size) {
  if (u->end - u->start >= size) return 0;
  if (u->start + size > BUFFER_SIZE) {
    memmove(u->buffer, u->buffer + u->start, u->end - u->start);
    u->end -= u->start;
    u->start = 0;
  }
  while (u->end - u->start < size) {
    ssize_t got = read(u->stream, u->buffer + u->end, BUFFER_SIZE - u->end);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(u, "read");
    /* The writer gave up; it knows why. */
    if (got == 0) return fail_with(u, "read", EPIPE);
    u->end += (size_t)got;
  }
  return 0;
}

static int take(struct unpacker *u, void *into, size_t size) {
  if (need(u, size) < 0) return -1;
  memcpy(into, u->buffer + u->start, size);
  u->start += size;
  return 0;
}

static int take_string(struct unpacker *u, char into[static PATH_MAX], size_t length) {
  if (length >= PATH_MAX) return fail_with(u, "read", ENAMETOOLONG);
  if (take(u, into, length) < 0) return -1;
  into[length] = '\0';
  return memchr(into, '\0', length) == NULL ? 0 : fail_with(u, "read", EBADMSG);
}

static int take_entry(struct unpacker *u, struct entry *entry) {
  entry->path[0] = '\0';
  entry->link[0] = '\0';
  if (take(u, &entry->head, sizeof entry->head) < 0) return -1;
  if (take_string(u, entry->path, entry->head.path_length) < 0) return -1;
  if (take_string(u, entry->link, entry->head.link_length) < 0) return -1;
  if (entry->head.xattrs_length > LONGEST_XATTRS) return fail_with(u, "read", E2BIG);
  return take(u, entry->xattrs, entry->head.xattrs_length);
}

static void forget_parent(struct unpacker *u) {
  if (u->parent >= 0 && u->parent != u->root) close(u->parent);
  u->parent = -1;
}

static int open_beneath(struct unpacker *u, const char *path, uint64_t further) {
  uint64_t resolve = u->lookups | RESOLVE_NO_MAGICLINKS | further;
  return sys_openat2(u->root, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, resolve);
}

/* Directories that the layer has no entries for: mode 0755, root's. */
static int make_parents(struct unpacker *u, char *path) {
  for (char *end = path;; end++) {
    if (*end != '/' && *end != '\0') continue;
    char kept = *end;
    *end = '\0';
    int fd = open_beneath(u, path, 0);
    if (fd >= 0) {
      close(fd);
    } else if (errno != ENOENT) {
      return fail(u, "openat2");
    } else {
      char *slash = strrchr(path, '/');
      int above = u->root;
      if (slash != NULL) {
        *slash = '\0';
        above = open_beneath(u, path, 0);
        *slash = '/';
      }
      if (above < 0) return fail(u, "openat2");
      int made = mkdirat(above, slash == NULL ? path : slash + 1, 0755);
      int error = errno;
      if (above != u->root) close(above);
      /* It exists and can't be opened: a symbolic link to nothing. */
      if (made < 0) return fail_with(u, "mkdirat", error == EEXIST ? ENOTDIR : error);
    }
    *end = kept;
    if (kept == '\0') return 0;
  }
}

/* The directory in which the last component of `path` stands; made when missing. -1, or a descriptor kept by `u`. */
static int enter_parent(struct unpacker *u, char *path, const char **name) {
  char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) return fail_with(u, "openat2", EXDEV);
  if (slash != NULL) *slash = '\0';
  const char *above = slash == NULL ? "" : path;
  int result = 0;
  if (u->parent < 0 || strcmp(above, u->parent_path) != 0) {
    forget_parent(u);
    if (slash == NULL) {
      u->parent = u->root;
    } else {
      u->parent = open_beneath(u, path, 0);
      if (u->parent < 0 && errno == ENOENT) {
        result = make_parents(u, path);
        if (result == 0) u->parent = open_beneath(u, path, 0);
      }
    }
    struct stat found;
    if (result == 0 && u->parent < 0) result = fail(u, "openat2");
    if (result == 0 && fstat(u->parent, &found) < 0) result = fail(u, "fstat");
    if (result == 0) {
      u->parent_setgid = (found.st_mode & S_ISGID) != 0;
      strcpy(u->parent_path, above);
    }
  }
  if (slash != NULL) *slash = '/';
  return result;
}

static bool is_whiteout(const struct stat *found) {
  return S_ISCHR(found->st_mode) && found->st_rdev == makedev(0, 0);
}

/* Make room at the entry's place, whatever stands there. */
static int clear_place(struct unpacker *u, const char *name) {
  if (unlinkat(u->parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR) return fail(u, "unlinkat");
  int parent = u->parent;
  if (remove_tree(parent, name) < 0) return fail(u, "unlinkat");
  return 0;
}

typedef int set_xattr(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target);

static int set_by_descriptor(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target) {
  (void)u;
  return fsetxattr(*(const int *)target, name, value, size, 0);
}

/* For what can't be opened. There is no lsetxattrat(2) before Linux 6.13, so by the working directory. */
static int set_by_name(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target) {
  if (fchdir(u->parent) < 0) return -1;
  int result = lsetxattr(target, name, value, size, 0);
  int error = errno;
  if (fchdir(u->root) < 0) return -1;
  errno = error;
  return result;
}

static int set_xattrs(struct unpacker *u, const unsigned char *at, size_t left, set_xattr *set, const void *target) {
  while (left > 0) {
    uint16_t name_length;
    uint32_t size;
    char name[256];
    if (left < 6) return fail_with(u, "setxattr", EBADMSG);
    memcpy(&name_length, at, 2);
    memcpy(&size, at + 2, 4);
    if (name_length >= sizeof name || name_length > left - 6 || size > left - 6 - name_length)
      return fail_with(u, "setxattr", EBADMSG);
    memcpy(name, at + 6, name_length);
    name[name_length] = '\0';
    if (set(u, name, at + 6 + name_length, size, target) < 0) {
      /* User attributes stand on files and directories alone, and not on every file system: nothing depends on them. */
      bool user = strncmp(name, "user.", 5) == 0;
      if (!user || (errno != EPERM && errno != ENOTSUP)) return fail(u, "setxattr");
    }
    at += 6 + name_length + size;
    left -= 6U + name_length + size;
  }
  return 0;
}

static void times_of(const struct unpack_head *head, struct timespec times[2]) {
  times[0] = (struct timespec){.tv_sec = head->seconds, .tv_nsec = head->nanoseconds};
  times[1] = times[0];
}

/* A new file is root's already, unless its directory hands its group down. */
static bool owner_differs(const struct unpacker *u, const struct unpack_head *head) {
  return head->uid != 0 || head->gid != 0 || u->parent_setgid;
}

static int unpack_directory(struct unpacker *u, struct entry *entry) {
  const struct unpack_head *head = &entry->head;
  int fd;
  if (entry->path[0] == '\0') {
    fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    forget_parent(u);
  } else {
    if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
    bool was_whiteout = false;
    if (mkdirat(u->parent, entry->name, head->mode & MODE_BITS) < 0) {
      struct stat found;
      if (errno != EEXIST) return fail(u, "mkdirat");
      if (fstatat(u->parent, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
      if (!S_ISDIR(found.st_mode)) {
        was_whiteout = is_whiteout(&found);
        if (unlinkat(u->parent, entry->name, 0) < 0) return fail(u, "unlinkat");
        if (mkdirat(u->parent, entry->name, head->mode & MODE_BITS) < 0) return fail(u, "mkdirat");
      }
    } else if (!owner_differs(u, head) && entry->head.xattrs_length == 0 && (head->mode & (S_ISUID | S_ISGID)) == 0) {
      return 0;
    }
    fd = openat(u->parent, entry->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && was_whiteout && set_xattrs(u, u->opaque, u->opaque_length, set_by_descriptor, &fd) < 0) {
      close(fd);
      return -1;
    }
  }
  if (fd < 0) return fail(u, "openat");
  int result = 0;
  if (fchown(fd, head->uid, head->gid) < 0) result = fail(u, "fchown");
  else if (fchmod(fd, head->mode & MODE_BITS) < 0) result = fail(u, "fchmod");
  else result = set_xattrs(u, entry->xattrs, head->xattrs_length, set_by_descriptor, &fd);
  /* The mode of the directory that is open as parent may have changed. */
  close(fd);
  return result;
}

static int write_chunk(struct unpacker *u, int fd, uint64_t offset, uint64_t length) {
  while (length > 0) {
    if (need(u, 1) < 0) return -1;
    size_t piece = u->end - u->start;
    if (piece > length) piece = (size_t)length;
    ssize_t written = pwrite(fd, u->buffer + u->start, piece, (off_t)offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(u, "write");
    u->start += (size_t)written;
    if (u->start == u->end) u->start = u->end = 0;
    offset += (uint64_t)written;
    length -= (uint64_t)written;
  }
  return 0;
}

static int write_contents(struct unpacker *u, int fd, const struct unpack_head *head) {
  uint64_t reached = 0;
  for (uint32_t i = 0; i < head->chunks; i++) {
    uint64_t chunk[2]; /* offset, length */
    if (take(u, chunk, sizeof chunk) < 0) return -1;
    if (chunk[0] < reached || chunk[1] > INT64_MAX || chunk[0] > INT64_MAX - chunk[1] || chunk[0] + chunk[1] > head->size)
      return fail_with(u, "write", EBADMSG);
    if (write_chunk(u, fd, chunk[0], chunk[1]) < 0) return -1;
    reached = chunk[0] + chunk[1];
  }
  if (reached < head->size && ftruncate(fd, (off_t)head->size) < 0) return fail(u, "ftruncate");
  return 0;
}

static int unpack_file(struct unpacker *u, struct entry *entry) {
  const struct unpack_head *head = &entry->head;
  if (head->size > INT64_MAX) return fail_with(u, "write", EFBIG);
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(u->parent, entry->name, flags, head->mode & MODE_BITS);
  if (fd < 0 && errno == EEXIST) {
    if (clear_place(u, entry->name) < 0) return -1;
    fd = openat(u->parent, entry->name, flags, head->mode & MODE_BITS);
  }
  if (fd < 0) return fail(u, "openat");
  int result = write_contents(u, fd, head);
  struct timespec times[2];
  times_of(head, times);
  /* In this order: writing and a change of owner clear the set-id bits, and a change of owner the capabilities. */
  if (result == 0 && owner_differs(u, head) && fchown(fd, head->uid, head->gid) < 0) result = fail(u, "fchown");
  if (result == 0 && (head->mode & (S_ISUID | S_ISGID | S_ISVTX)) != 0 && fchmod(fd, head->mode & MODE_BITS) < 0)
    result = fail(u, "fchmod");
  if (result == 0) result = set_xattrs(u, entry->xattrs, head->xattrs_length, set_by_descriptor, &fd);
  if (result == 0 && futimens(fd, times) < 0) result = fail(u, "futimens");
  /* A network file system tells of a full disk only here. */
  if (close(fd) < 0 && result == 0) result = fail(u, "close");
  return result;
}

static int make_special(struct unpacker *u, const struct entry *entry) {
  const struct unpack_head *head = &entry->head;
  mode_t mode = head->mode & MODE_BITS;
  switch (head->operation) {
    case UNPACK_SYMLINK:
      return symlinkat(entry->link, u->parent, entry->name);
    case UNPACK_CHARACTER:
      return mknodat(u->parent, entry->name, S_IFCHR | mode, makedev(head->major, head->minor));
    case UNPACK_BLOCK:
      return mknodat(u->parent, entry->name, S_IFBLK | mode, makedev(head->major, head->minor));
    default:
      return mknodat(u->parent, entry->name, S_IFIFO | mode, 0);
  }
}

static int unpack_special(struct unpacker *u, struct entry *entry) {
  const struct unpack_head *head = &entry->head;
  const char *call = head->operation == UNPACK_SYMLINK ? "symlinkat" : "mknodat";
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  if (make_special(u, entry) < 0) {
    if (errno != EEXIST) return fail(u, call);
    if (clear_place(u, entry->name) < 0) return -1;
    if (make_special(u, entry) < 0) return fail(u, call);
  }
  if (owner_differs(u, head) && fchownat(u->parent, entry->name, head->uid, head->gid, AT_SYMLINK_NOFOLLOW) < 0)
    return fail(u, "fchownat");
  if (head->operation != UNPACK_SYMLINK && (head->mode & (S_ISUID | S_ISGID)) != 0 &&
      fchmodat(u->parent, entry->name, head->mode & MODE_BITS, 0) < 0)
    return fail(u, "fchmodat");
  if (set_xattrs(u, entry->xattrs, head->xattrs_length, set_by_name, entry->name) < 0) return -1;
  struct timespec times[2];
  times_of(head, times);
  if (utimensat(u->parent, entry->name, times, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "utimensat");
  return 0;
}

static int link_to(struct unpacker *u, int target_parent, const char *target, const char *name) {
  struct stat there, found;
  if (fstatat(target_parent, target, &there, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "linkat");
  if (S_ISDIR(there.st_mode)) return fail_with(u, "linkat", EISDIR);
  if (linkat(target_parent, target, u->parent, name, 0) == 0) return 0;
  if (errno != EEXIST) return fail(u, "linkat");
  if (fstatat(u->parent, name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
  if (found.st_ino == there.st_ino && found.st_dev == there.st_dev) return 0;
  if (clear_place(u, name) < 0) return -1;
  return linkat(target_parent, target, u->parent, name, 0) < 0 ? fail(u, "linkat") : 0;
}

static int unpack_hardlink(struct unpacker *u, struct entry *entry) {
  char *slash = strrchr(entry->link, '/');
  const char *target = slash == NULL ? entry->link : slash + 1;
  if (*target == '\0' || strcmp(target, ".") == 0 || strcmp(target, "..") == 0) return fail_with(u, "linkat", EXDEV);
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  int target_parent = u->root;
  if (slash != NULL) {
    *slash = '\0';
    target_parent = open_beneath(u, entry->link, 0);
    *slash = '/';
  }
  if (target_parent < 0) return fail(u, "openat2");
  int result = link_to(u, target_parent, target, entry->name);
  int error = errno;
  if (target_parent != u->root) close(target_parent);
  errno = error;
  return result;
}

static int make_opaque(struct unpacker *u, int parent, const char *name) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fail(u, "openat");
  int result = set_xattrs(u, u->opaque, u->opaque_length, set_by_descriptor, &fd);
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

/*
 * A whiteout hides what is below, never what this layer itself has (OCI image spec, layer.md, "Whiteouts"): a file of
 * this layer hides what is below by itself, a directory does so when it is opaque.
 */
static int unpack_whiteout(struct unpacker *u, struct entry *entry) {
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  if (mknodat(u->parent, entry->name, S_IFCHR, makedev(0, 0)) == 0) return 0;
  struct stat found;
  if (errno != EEXIST) return fail(u, "mknodat");
  if (fstatat(u->parent, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
  return S_ISDIR(found.st_mode) ? make_opaque(u, u->parent, entry->name) : 0;
}

static int unpack_opaque(struct unpacker *u, struct entry *entry) {
  if (entry->path[0] == '\0') return make_opaque(u, u->root, ".");
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  if (mkdirat(u->parent, entry->name, 0755) < 0) {
    struct stat found;
    if (errno != EEXIST) return fail(u, "mkdirat");
    if (fstatat(u->parent, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
    if (is_whiteout(&found)) {
      if (unlinkat(u->parent, entry->name, 0) < 0) return fail(u, "unlinkat");
      if (mkdirat(u->parent, entry->name, 0755) < 0) return fail(u, "mkdirat");
    } else if (!S_ISDIR(found.st_mode)) {
      return fail_with(u, "openat", ENOTDIR);
    }
  }
  return make_opaque(u, u->parent, entry->name);
}

static int unpack_touch(struct unpacker *u, struct entry *entry) {
  struct timespec times[2];
  times_of(&entry->head, times);
  if (entry->path[0] == '\0') return utimensat(u->root, ".", times, 0) < 0 ? fail(u, "utimensat") : 0;
  int fd = open_beneath(u, entry->path, RESOLVE_NO_SYMLINKS);
  /* Something else has taken its place since. */
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : fail(u, "openat2");
  int result = utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? fail(u, "utimensat") : 0;
  int error = errno;
  close(fd);
  errno = error;
  return result;
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

static int open_tree_at(struct unpacker *u, const char *path) {
  int fd = sys_openat2(u->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  return fd < 0 ? fail(u, "openat2") : fd;
}

/* Two texts, of which the last byte is the end. */
static int read_owners(struct layer_copy *copy, const struct entry *entry) {
  const char *text = (const char *)entry->xattrs, *end = memchr(text, '\0', entry->head.xattrs_length);
  if (!end || text[entry->head.xattrs_length - 1] != '\0' || end + 1 >= text + entry->head.xattrs_length) return -1;
  copy->uid_map = text;
  copy->gid_map = end + 1;
  return 0;
}

static int unpack_merge(struct unpacker *u, struct entry *entry) {
  struct layer_copy copy = {.top = -1};
  autoclose int from = open_tree_at(u, entry->link), to = from < 0 ? -1 : open_tree_at(u, entry->path);
  if (to < 0) return -1;
  copy.top = to;
  if (entry->head.xattrs_length > 0 && read_owners(&copy, entry) < 0) return fail_with(u, "read", EBADMSG);
  int result = layer_merge(&copy, from, to) < 0 ? fail(u, copy.failed_call) : 0;
  links_free(&copy.links);
  return result;
}

static int unpack_changes(struct unpacker *u, struct entry *entry) {
  struct layer_copy copy = {.top = -1};
  char base_path[PATH_MAX];
  size_t length = entry->head.xattrs_length;
  if (length == 0 || length >= sizeof base_path) return fail_with(u, "read", EBADMSG);
  memcpy(base_path, entry->xattrs, length);
  base_path[length] = '\0';
  autoclose int base = open_tree_at(u, base_path), root = base < 0 ? -1 : open_tree_at(u, entry->link);
  autoclose int out = root < 0 ? -1 : open_tree_at(u, entry->path);
  if (out < 0) return -1;
  copy.top = out;
  int result = layer_changes(&copy, base, root, out) < 0 ? fail(u, copy.failed_call) : 0;
  links_free(&copy.links);
  return result;
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
