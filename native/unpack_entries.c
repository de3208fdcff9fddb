/* Directories, files, special files and links of a layer, in the place of whatever stands there. */
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "layer_tree.h"
#include "unpacker.h"

int unpack_directory(struct unpacker *u, struct entry *entry) {
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
        was_whiteout = is_layer_whiteout(&found);
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

int unpack_file(struct unpacker *u, struct entry *entry) {
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

int unpack_special(struct unpacker *u, struct entry *entry) {
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

int unpack_hardlink(struct unpacker *u, struct entry *entry) {
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
