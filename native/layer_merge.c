/* One layer laid over a tree. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "layer_tree.h"
#include "unpack.h"

static int failed(struct layer_copy *copy, const char *call) {
  copy->failed_call = call;
  return -1;
}

static int merge_directory(struct layer_copy *copy, int from, int to, char path[static PATH_MAX]);

static int merge_entry(struct layer_copy *copy, int from, int to, const char *name, char path[static PATH_MAX]) {
  struct stat status, there;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return failed(copy, "fstatat");
  bool found = fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0;
  if (!S_ISDIR(status.st_mode)) {
    if (found && remove_tree(to, name) < 0) return failed(copy, "unlinkat");
    return is_layer_whiteout(&status) ? 0 : copy_layer_entry(copy, from, to, name, &status, path);
  }
  autoclose int inner_from = open_layer_directory(from, name);
  if (inner_from < 0) return failed(copy, "openat");
  if (found && (!S_ISDIR(there.st_mode) || is_layer_opaque(inner_from))) {
    if (remove_tree(to, name) < 0) return failed(copy, "unlinkat");
    found = false;
  }
  if (!found && copy_layer_entry(copy, from, to, name, &status, path) < 0) return -1;
  autoclose int inner_to = open_layer_directory(to, name);
  if (inner_to < 0) return failed(copy, "openat");
  size_t length = strlen(path);
  int size = snprintf(path + length, PATH_MAX - length, "%s%s", length ? "/" : "", name);
  if (size < 0 || (size_t)size >= PATH_MAX - length) {
    errno = ENAMETOOLONG;
    return failed(copy, "openat");
  }
  int result = merge_directory(copy, inner_from, inner_to, path);
  path[length] = '\0';
  if (result < 0) return -1;
  return copy_layer_directory(copy, inner_from, inner_to, &status);
}

static int merge_directory(struct layer_copy *copy, int from, int to, char path[static PATH_MAX]) {
  int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again < 0 ? NULL : fdopendir(again);
  if (!entries) {
    close_fd(&again);
    return failed(copy, "openat");
  }
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = merge_entry(copy, from, to, entry->d_name, path);
  int error = errno;
  closedir(entries);
  errno = error;
  return result;
}

int layer_merge(struct layer_copy *copy, int from, int to) {
  char path[PATH_MAX] = "";
  struct stat status;
  if (fstat(from, &status) < 0) return failed(copy, "fstat");
  if (merge_directory(copy, from, to, path) < 0) return -1;
  return copy_layer_directory(copy, from, to, &status);
}
