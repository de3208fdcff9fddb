#include "resolve.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { LINKS_MAXIMUM = 40 }; /* as the kernel's own limit on symlinks in a lookup */

int resolve(int root, const char *path, uint64_t flags) {
  /* Magic links (/proc/PID/fd/N, /proc/PID/root) jump without a lookup, so they are refused: they could lead out. */
  return sys_openat2(root, *path ? path : ".", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/*
 * Put the target of the dangling symlink `name` in front of what is left of the path. The kernel looked it up and found
 * nothing, so what it points at is to be made; inside the root, like all else.
 */
static int follow_dangling(int parent, const char *name, char path[PATH_MAX], size_t start, size_t end) {
  char target[PATH_MAX], joined[PATH_MAX];
  ssize_t length = readlinkat(parent, name, target, sizeof(target) - 1);
  if (length < 0) return -1;
  target[length] = '\0';
  int before = target[0] == '/' ? 0 : (int)start;
  int size = snprintf(joined, sizeof(joined), "%.*s%s%s", before, path, target, path + end);
  if (size < 0 || (size_t)size >= sizeof(joined)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, joined, (size_t)size + 1);
  return 0;
}

int resolve_or_make(int root, const char *wanted, enum made kind) {
  int found = resolve(root, wanted, O_PATH);
  if (found >= 0 || errno != ENOENT || kind == MAKE_NOTHING) return found;

  char path[PATH_MAX];
  size_t size = strlen(wanted);
  if (size >= sizeof(path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, wanted, size + 1);
  int links = 0;
  autoclose int parent = resolve(root, ".", O_PATH | O_DIRECTORY);
  if (parent < 0) return -1;

  for (size_t start = 0;;) {
    while (path[start] == '/') start++;
    size_t end = start + strcspn(path + start, "/");
    size_t next = end + strspn(path + end, "/");
    bool last = path[next] == '\0';
    if (start == end) return resolve(root, path, O_PATH);

    char name[NAME_MAX + 1];
    if (end - start > NAME_MAX) {
      errno = ENAMETOOLONG;
      return -1;
    }
    memcpy(name, path + start, end - start);
    name[end - start] = '\0';

    /* The whole prefix is looked up from the root again: ".." and links in it then mean what the kernel says. */
    char kept = path[end];
    path[end] = '\0';
    int step = resolve(root, path, O_PATH | (last ? 0 : O_DIRECTORY));
    path[end] = kept;
    if (step < 0) {
      if (errno != ENOENT) return -1;
      bool file = last && kind == MAKE_FILE;
      int made = file ? openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644)
                      : mkdirat(parent, name, 0755);
      if (made < 0 && errno != EEXIST) return -1;
      if (made < 0) {
        struct stat status;
        if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return -1;
        if (S_ISLNK(status.st_mode)) {
          if (++links > LINKS_MAXIMUM) {
            errno = ELOOP;
            return -1;
          }
          if (follow_dangling(parent, name, path, start, end) < 0) return -1;
          close_fd(&parent);
          parent = resolve(root, ".", O_PATH | O_DIRECTORY);
          if (parent < 0) return -1;
          start = 0;
          continue;
        }
      }
      if (file && made >= 0) close(made);
      step = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
      if (step < 0) return -1;
    }
    if (last) return step;
    close_fd(&parent);
    parent = step;
    start = next;
  }
}

int resolve_parent(int root, const char *path, const char **name) {
  size_t length = strlen(path);
  size_t start = length;
  while (start > 0 && path[start - 1] != '/') start--;
  *name = path + start;
  if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0 || length >= PATH_MAX) {
    errno = EINVAL; /* there is no last component that could be made */
    return -1;
  }
  char parent[PATH_MAX];
  memcpy(parent, path, start);
  parent[start] = '\0';
  return resolve_or_make(root, start == 0 ? "." : parent, MAKE_DIRECTORY);
}

int open_procfs(int root) {
  autoclose int procfs = sys_openat2(root, "proc", O_DIRECTORY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
  if (procfs < 0) return -1;
  struct statfs status;
  struct stat node;
  if (fstatfs(procfs, &status) < 0 || fstat(procfs, &node) < 0) return -1;
  if (status.f_type == PROC_SUPER_MAGIC && node.st_ino == 1) return steal_fd(&procfs); /* 1: the root of a procfs */
  errno = 0;
  return -1;
}

int open_in_procfs(int procfs, const char *path, uint64_t flags) {
  return sys_openat2(procfs, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
}
