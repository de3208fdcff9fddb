/* Where an entry stands: every path is resolved by the kernel, and believed no longer than its descriptor. */
#include <fcntl.h>
#include <string.h>

#include "unpacker.h"

void forget_parent(struct unpacker *u) {
  if (u->parent >= 0 && u->parent != u->root) close(u->parent);
  u->parent = -1;
}

int open_beneath(struct unpacker *u, const char *path, uint64_t further) {
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

int enter_parent(struct unpacker *u, char *path, const char **name) {
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

int clear_place(struct unpacker *u, const char *name) {
  if (unlinkat(u->parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR) return fail(u, "unlinkat");
  int parent = u->parent;
  if (remove_tree(parent, name) < 0) return fail(u, "unlinkat");
  return 0;
}
