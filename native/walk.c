#include "walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include "common.h"

enum { DEPTH_MAXIMUM = 256 };

static int walk(int parent, const char *name, visitor *visit, const void *context, int depth, struct failure *failure) {
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
    return errno == ENOENT ? 0 : fail(failure, "fstatat");
  int visited = visit(parent, name, &status, context, failure);
  if (visited < 0 || !S_ISDIR(status.st_mode)) return visited;
  errno = ELOOP;
  if (depth > DEPTH_MAXIMUM) return fail(failure, "openat2");
  /* Not into what is mounted below, nor through a link that took a directory's place. */
  int directory = sys_openat2(parent, *name ? name : ".", O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
  if (directory < 0) return errno == EXDEV || errno == ENOENT || errno == ELOOP ? 0 : fail(failure, "openat2");
  DIR *entries = fdopendir(directory);
  if (!entries) {
    close_fd(&directory);
    return fail(failure, "fdopendir");
  }
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = walk(directory, entry->d_name, visit, context, depth + 1, failure);
  closedir(entries);
  return result;
}

int walk_tree(int parent, const char *name, visitor *visit, const void *context, struct failure *failure) {
  return walk(parent, name, visit, context, 0, failure);
}

static int relabel(int parent, const char *name, const struct stat *status, const void *context, struct failure *failure) {
  (void)status;
  const char *label = context;
  /* A name below a descriptor, so that no device or FIFO need be opened for it; setxattrat(2) is of Linux 6.13. */
  char path[64 + sizeof(((struct dirent *)0)->d_name)];
  snprintf(path, sizeof(path), "/proc/self/fd/%d%s%s", parent, *name ? "/" : "", name);
  int done = *name ? lsetxattr(path, "security.selinux", label, strlen(label), 0)
                   : setxattr(path, "security.selinux", label, strlen(label), 0);
  return done == 0 || errno == ENOENT || errno == EOPNOTSUPP ? 0 : fail(failure, "setxattr");
}

int relabel_tree(int top, const char *label, struct list kept, struct failure *failure) {
  struct stat own, other;
  if (fstat(top, &own) < 0) return fail(failure, "fstat");
  for (uint32_t i = 0; i < kept.count; i++) {
    if (stat(read_text(&kept.items), &other) < 0 || other.st_dev != own.st_dev || other.st_ino != own.st_ino) continue;
    errno = EPERM;
    return fail_because(failure, REASON_KEEPS_LABEL, "setxattr");
  }
  return walk_tree(top, "", relabel, label, failure);
}
