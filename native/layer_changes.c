/*
 * How one tree differs from another, as a layer: what is new or other is copied, what is gone gets a whiteout. Contents are
 * compared byte by byte: times can be set to anything.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common.h"
#include "layer_tree.h"

static int failed(struct layer_copy *copy, const char *call) {
  copy->failed_call = call;
  return -1;
}

static bool same_time(struct timespec a, struct timespec b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_attributes(const struct stat *a, const struct stat *b) {
  bool same = a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_rdev == b->st_rdev;
  /* A directory's time changes with what is in it, and that is told by itself. */
  return same && (S_ISDIR(a->st_mode) || (a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim)));
}

static bool same_contents(int base, int root, const char *name) {
  static char ours[65536], theirs[65536];
  autoclose int a = openat(base, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  autoclose int b = openat(root, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (a < 0 || b < 0) return false;
  for (;;) {
    ssize_t got = read(a, ours, sizeof ours), other = read(b, theirs, sizeof theirs);
    if (got < 0 || got != other || memcmp(ours, theirs, (size_t)got) != 0) return false;
    if (got == 0) return true;
  }
}

static bool same_link(int base, int root, const char *name) {
  char ours[PATH_MAX], theirs[PATH_MAX];
  ssize_t size = readlinkat(base, name, ours, sizeof ours), other = readlinkat(root, name, theirs, sizeof theirs);
  return size >= 0 && size == other && memcmp(ours, theirs, (size_t)size) == 0;
}

/* One way: what `from` has, `to` has as well. */
static bool has_xattrs_of(int from, int to, const char *name) {
  static char list[65536], ours[65536], theirs[65536];
  if (fchdir(from) < 0) return false;
  ssize_t size = llistxattr(name, list, sizeof list);
  for (const char *key = list; key < list + size; key += strlen(key) + 1) {
    if (fchdir(from) < 0) return false;
    ssize_t length = lgetxattr(name, key, ours, sizeof ours);
    if (fchdir(to) < 0) return false;
    ssize_t other = lgetxattr(name, key, theirs, sizeof theirs);
    if (length < 0 || length != other || memcmp(ours, theirs, (size_t)length) != 0) return false;
  }
  return true;
}

static bool same_xattrs(int base, int root, const char *name) {
  return has_xattrs_of(base, root, name) && has_xattrs_of(root, base, name);
}

static DIR *entries_of(int directory) {
  int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again < 0 ? NULL : fdopendir(again);
  if (!entries) close_fd(&again);
  return entries;
}

static int compare(struct layer_copy *copy, int base, int root, int out, char path[static PATH_MAX], bool *changed);

/* `known`: of the base, NULL when it has none. */
static int compare_directory(struct layer_copy *copy, int base, int root, int out, const char *name,
                             const struct stat *known, const struct stat *status, char path[static PATH_MAX],
                             bool *changed) {
  autoclose int inner_root = open_layer_directory(root, name);
  if (inner_root < 0) return failed(copy, "openat");
  autoclose int inner_base = known ? open_layer_directory(base, name) : -1;
  if (known && inner_base < 0) return failed(copy, "openat");
  if (copy_layer_entry(copy, root, out, name, status, path) < 0) return -1;
  autoclose int inner_out = open_layer_directory(out, name);
  if (inner_out < 0) return failed(copy, "openat");
  bool inside = !known || !same_attributes(known, status) || !same_xattrs(base, root, name);
  size_t length = strlen(path);
  int size = snprintf(path + length, PATH_MAX - length, "%s%s", length ? "/" : "", name);
  if (size < 0 || (size_t)size >= PATH_MAX - length) {
    errno = ENAMETOOLONG;
    return failed(copy, "openat");
  }
  int result = compare(copy, inner_base, inner_root, inner_out, path, &inside);
  path[length] = '\0';
  if (result < 0) return -1;
  *changed = *changed || inside;
  if (!inside) return unlinkat(out, name, AT_REMOVEDIR) < 0 ? failed(copy, "unlinkat") : 0;
  return copy_layer_directory(copy, inner_root, inner_out, status);
}

static int compare_entry(struct layer_copy *copy, int base, int root, int out, const char *name,
                         char path[static PATH_MAX], bool *changed) {
  struct stat status, known;
  if (fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return failed(copy, "fstatat");
  bool was = base >= 0 && fstatat(base, name, &known, AT_SYMLINK_NOFOLLOW) == 0;
  if (S_ISDIR(status.st_mode)) {
    bool both = was && S_ISDIR(known.st_mode);
    return compare_directory(copy, base, root, out, name, both ? &known : NULL, &status, path, changed);
  }
  if (was && same_attributes(&known, &status) && same_xattrs(base, root, name)) {
    bool plain = !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode);
    if (plain || (S_ISLNK(status.st_mode) ? same_link(base, root, name) : same_contents(base, root, name))) return 0;
  }
  *changed = true;
  return copy_layer_entry(copy, root, out, name, &status, path);
}

static int compare(struct layer_copy *copy, int base, int root, int out, char path[static PATH_MAX], bool *changed) {
  DIR *entries = entries_of(root);
  if (!entries) return failed(copy, "openat");
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = compare_entry(copy, base, root, out, entry->d_name, path, changed);
  closedir(entries);
  entries = result == 0 && base >= 0 ? entries_of(base) : NULL;
  if (!entries) return result < 0 || base < 0 ? result : failed(copy, "openat");
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));) {
    if (faccessat(root, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) continue;
    *changed = true;
    if (mknodat(out, entry->d_name, S_IFCHR, makedev(0, 0)) < 0) result = failed(copy, "mknodat");
  }
  closedir(entries);
  return result;
}

int layer_changes(struct layer_copy *copy, int base, int root, int out) {
  char path[PATH_MAX] = "";
  struct stat status;
  bool changed = false;
  if (fstat(root, &status) < 0) return failed(copy, "fstat");
  if (compare(copy, base, root, out, path, &changed) < 0) return -1;
  return copy_layer_directory(copy, root, out, &status);
}
