/*
 * Fill a new tmpfs or volume with what the image has at its target. The tree is the image's, and a container that runs
 * may have the volume, so no link of either side is followed.
 */
#include "child.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { DEPTH_MAXIMUM = 256 };

/* Attributes such as file capabilities and ACLs, which the target may have no room or no word for. */
static int copy_attributes(int in, int out, struct failure *failure) {
  static char names[XATTR_LIST_MAX], value[XATTR_SIZE_MAX];
  ssize_t size = flistxattr(in, names, sizeof(names));
  if (size < 0) return errno == ENOTSUP ? 0 : fail(failure, "flistxattr");
  for (const char *name = names; name < names + size; name += strlen(name) + 1) {
    /* The overlay's own are about its layers, and labels are given by whoever mounts. */
    if (strncmp(name, "trusted.", 8) == 0 || strcmp(name, "security.selinux") == 0) continue;
    ssize_t length = fgetxattr(in, name, value, sizeof(value));
    if (length < 0) return errno == ENODATA ? 0 : fail(failure, "fgetxattr");
    if (fsetxattr(out, name, value, (size_t)length, 0) < 0 && errno != ENOTSUP && errno != EPERM && errno != EINVAL)
      return fail(failure, "fsetxattr");
  }
  return 0;
}

/* Owner, mode and times, in the order that keeps all of them: a change of the owner takes set-uid bits away. */
static int copy_status(int in, int out, const struct stat *status, struct failure *failure) {
  if (fchown(out, status->st_uid, status->st_gid) < 0) return fail(failure, "fchown");
  if (fchmod(out, status->st_mode & 07777) < 0) return fail(failure, "fchmod");
  if (copy_attributes(in, out, failure) < 0) return -1;
  struct timespec times[2] = {status->st_atim, status->st_mtim};
  return futimens(out, times) < 0 ? fail(failure, "futimens") : 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *status, struct failure *failure) {
  autoclose int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return fail(failure, "openat");
  autoclose int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0) return fail(failure, "openat");
  for (;;) {
    ssize_t sent = sendfile(out, in, NULL, 1 << 20);
    if (sent < 0) return fail(failure, "sendfile");
    if (sent == 0) break;
  }
  return copy_status(in, out, status, failure);
}

static int copy_link(int from, int to, const char *name, const struct stat *status, struct failure *failure) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(from, name, target, sizeof(target) - 1);
  if (size < 0) return fail(failure, "readlinkat");
  target[size] = '\0';
  if (symlinkat(target, to, name) < 0) return fail(failure, "symlinkat");
  if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0) return fail(failure, "fchownat");
  struct timespec times[2] = {status->st_atim, status->st_mtim};
  return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(failure, "utimensat") : 0;
}

static int copy_node(int to, const char *name, const struct stat *status, struct failure *failure) {
  /* The umask is 0, so it has its mode at once; chmod(2) by name would follow a link that took its place. */
  if (mknodat(to, name, status->st_mode, status->st_rdev) < 0) return fail(failure, "mknodat");
  if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0) return fail(failure, "fchownat");
  return 0;
}

static int copy_directory(int from, int to, int depth, struct failure *failure);

static int copy_entry(int from, int to, const char *name, int depth, struct failure *failure) {
  struct stat status;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return fail(failure, "fstatat");
  if (S_ISREG(status.st_mode)) return copy_file(from, to, name, &status, failure);
  if (S_ISLNK(status.st_mode)) return copy_link(from, to, name, &status, failure);
  if (!S_ISDIR(status.st_mode)) return copy_node(to, name, &status, failure);
  if (mkdirat(to, name, 0700) < 0) return fail(failure, "mkdirat");
  autoclose int inner_from = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner_from < 0) return fail(failure, "openat");
  autoclose int inner_to = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner_to < 0) return fail(failure, "openat");
  return copy_directory(inner_from, inner_to, depth + 1, failure);
}

/* Copy what is in `from` into `to`, then owner and mode of `from` itself. */
static int copy_directory(int from, int to, int depth, struct failure *failure) {
  errno = ELOOP;
  if (depth > DEPTH_MAXIMUM) return fail(failure, "copy");
  struct stat status;
  if (fstat(from, &status) < 0) return fail(failure, "fstat");
  int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return fail(failure, "openat");
  DIR *entries = fdopendir(again);
  if (!entries) {
    close_fd(&again);
    return fail(failure, "fdopendir");
  }
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = copy_entry(from, to, entry->d_name, depth, failure);
  closedir(entries);
  if (result < 0) return -1;
  autoclose int readable = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (readable < 0) return fail(failure, "openat");
  return copy_status(readable, to, &status, failure);
}

int copy_tree(int from, int to, struct failure *failure) {
  /* A mount's own descriptor is an O_PATH one, as are those of resolve.c: neither can be read or changed. */
  autoclose int target = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (target < 0) return fail(failure, "openat");
  return copy_directory(from, target, 0, failure);
}
