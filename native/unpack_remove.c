/*
 * Removing a tree that somebody hostile has filled. By descriptor, with names of one component only, so that neither a
 * symbolic link nor a path longer than PATH_MAX matters. Only so many levels are held open at once: a directory below
 * the deepest of them is moved up beside the top of the tree first, so that depth is no matter either.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unpack.h"

#define DEEPEST 64

struct removal {
  int top;        /* the directory in which the tree stands */
  uint64_t key;   /* random: the names given here are nobody else's */
  unsigned moved; /* names given so far to directories that were moved up */
  unsigned taken; /* of those, how many are being removed or gone */
};

static void moved_name(char name[static 48], const struct removal *removal, unsigned number) {
  snprintf(name, 48, ".removed-%016llx-%u", (unsigned long long)removal->key, number);
}

/* Immutable and append-only files can't be unlinked, and in such directories nothing can (ioctl_iflags(2)). */
static bool clear_flags(int fd) {
  int flags = 0;
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) return false;
  if ((flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0) return false;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static bool clear_flags_at(int directory, const char *name) {
  struct stat found;
  if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) < 0) return false;
  /* To open a device or a fifo does something; only these two kinds can have the flags set by ioctl anyway. */
  if (!S_ISREG(found.st_mode) && !S_ISDIR(found.st_mode)) return false;
  int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return false;
  bool cleared = clear_flags(fd);
  close(fd);
  return cleared;
}

static int unlink_firmly(int directory, const char *name, int flags) {
  if (unlinkat(directory, name, flags) == 0 || errno == ENOENT) return 0;
  if (errno != EPERM) return -1;
  bool cleared = clear_flags(directory);
  if (clear_flags_at(directory, name)) cleared = true;
  errno = EPERM;
  if (!cleared) return -1;
  return unlinkat(directory, name, flags) == 0 || errno == ENOENT ? 0 : -1;
}

static int move_up(struct removal *removal, int directory, const char *name) {
  char target[48];
  if (removal->moved == 0 && getrandom(&removal->key, sizeof removal->key, 0) != sizeof removal->key) return -1;
  moved_name(target, removal, removal->moved);
  if (renameat2(directory, name, removal->top, target, RENAME_NOREPLACE) < 0) {
    if (errno == ENOENT) return 0;
    if (errno != EPERM) return -1;
    bool cleared = clear_flags(directory);
    if (clear_flags_at(directory, name)) cleared = true;
    errno = EPERM;
    if (!cleared || renameat2(directory, name, removal->top, target, RENAME_NOREPLACE) < 0) return -1;
  }
  removal->moved++;
  return 0;
}

static int remove_directory(struct removal *removal, int parent, const char *name, int depth);

static int remove_entry(struct removal *removal, int directory, const struct dirent *entry, int depth) {
  const char *name = entry->d_name;
  if (entry->d_type != DT_DIR) {
    if (unlink_firmly(directory, name, 0) == 0) return 0;
    if (errno != EISDIR) return -1;
  }
  if (unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (depth >= DEEPEST) return move_up(removal, directory, name);
  return remove_directory(removal, directory, name, depth + 1);
}

static int remove_directory(struct removal *removal, int parent, const char *name, int depth) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : -1;
  DIR *directory = fdopendir(fd);
  if (directory == NULL) {
    close(fd);
    return -1;
  }
  int result = 0;
  /* A file system may skip entries of a directory that changes while it is read: read until nothing is found. */
  for (bool found = true; found && result == 0;) {
    found = false;
    for (;;) {
      errno = 0;
      const struct dirent *entry = readdir(directory);
      if (entry == NULL) {
        if (errno != 0) result = -1;
        break;
      }
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      found = true;
      result = remove_entry(removal, fd, entry, depth);
      if (result < 0) break;
    }
    if (found && result == 0) rewinddir(directory);
  }
  int error = errno;
  closedir(directory);
  errno = error;
  if (result < 0) return -1;
  return unlink_firmly(parent, name, AT_REMOVEDIR);
}

int remove_tree(int parent, const char *name) {
  struct removal removal = {.top = parent};
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return 0;
  if (errno != EISDIR) {
    if (errno != EPERM) return -1;
    struct stat found;
    if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) < 0) return -1;
    if (!S_ISDIR(found.st_mode)) return unlink_firmly(parent, name, 0);
  }
  if (remove_directory(&removal, parent, name, 0) < 0) return -1;
  while (removal.taken < removal.moved) {
    char moved[48];
    moved_name(moved, &removal, removal.taken++);
    if (remove_directory(&removal, parent, moved, 0) < 0) return -1;
  }
  return 0;
}
