/* Whiteouts and opaque directories, as overlay knows them. */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "layer_tree.h"
#include "unpacker.h"

static int make_opaque(struct unpacker *u, int parent, const char *name) {
  autoclose int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return fail(u, "openat");
  return set_xattrs(u, u->opaque, u->opaque_length, set_by_descriptor, &fd);
}

/*
 * A whiteout hides what is below, never what this layer itself has (OCI image spec, layer.md, "Whiteouts"): a file of
 * this layer hides what is below by itself, a directory does so when it is opaque.
 */
int unpack_whiteout(struct unpacker *u, struct entry *entry) {
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  if (mknodat(u->parent, entry->name, S_IFCHR, makedev(0, 0)) == 0) return 0;
  struct stat found;
  if (errno != EEXIST) return fail(u, "mknodat");
  if (fstatat(u->parent, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
  return S_ISDIR(found.st_mode) ? make_opaque(u, u->parent, entry->name) : 0;
}

int unpack_opaque(struct unpacker *u, struct entry *entry) {
  if (entry->path[0] == '\0') return make_opaque(u, u->root, ".");
  if (enter_parent(u, entry->path, &entry->name) < 0) return -1;
  if (mkdirat(u->parent, entry->name, 0755) < 0) {
    struct stat found;
    if (errno != EEXIST) return fail(u, "mkdirat");
    if (fstatat(u->parent, entry->name, &found, AT_SYMLINK_NOFOLLOW) < 0) return fail(u, "fstatat");
    if (is_layer_whiteout(&found)) {
      if (unlinkat(u->parent, entry->name, 0) < 0) return fail(u, "unlinkat");
      if (mkdirat(u->parent, entry->name, 0755) < 0) return fail(u, "mkdirat");
    } else if (!S_ISDIR(found.st_mode)) {
      return fail_with(u, "openat", ENOTDIR);
    }
  }
  return make_opaque(u, u->parent, entry->name);
}
