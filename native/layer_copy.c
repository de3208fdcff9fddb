/* One entry of a layer, copied with all that it has. Contents are shared with the original where the file system can. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common.h"
#include "layer_tree.h"
#include "outside.h"

enum { LIST_MAXIMUM = 65536, VALUE_MAXIMUM = 65536 }; /* XATTR_LIST_MAX, XATTR_SIZE_MAX */

static int failed(struct layer_copy *copy, const char *call) {
  copy->failed_call = call;
  return -1;
}

bool is_layer_whiteout(const struct stat *status) {
  return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

bool is_layer_opaque(int directory) {
  /* Of the class `user` in a user namespace. No other tar's can be here: those of overlay are left out when it is unpacked. */
  const char *const names[] = {"trusted.overlay.opaque", "user.overlay.opaque"};
  char value[2];
  for (size_t i = 0; i < array_length(names); i++)
    if (fgetxattr(directory, names[i], value, sizeof value) == 1 && value[0] == 'y') return true;
  return false;
}

int open_layer_directory(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool is_overlays(const char *name) {
  return strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0;
}

/* `name` NULL: of the files that are open; else of what stands in these directories, by the working directory. */
static int copy_xattrs(struct layer_copy *copy, int from, int to, const char *name) {
  static char list[LIST_MAXIMUM], value[VALUE_MAXIMUM];
  if (name && fchdir(from) < 0) return failed(copy, "fchdir");
  ssize_t size = name ? llistxattr(name, list, sizeof list) : flistxattr(from, list, sizeof list);
  if (size < 0) return errno == ENOTSUP ? 0 : failed(copy, "listxattr");
  for (const char *key = list; key < list + size; key += strlen(key) + 1) {
    if (is_overlays(key)) continue;
    if (name && fchdir(from) < 0) return failed(copy, "fchdir");
    ssize_t length = name ? lgetxattr(name, key, value, sizeof value) : fgetxattr(from, key, value, sizeof value);
    if (length < 0) return failed(copy, "getxattr");
    if (name && fchdir(to) < 0) return failed(copy, "fchdir");
    int set = name ? lsetxattr(name, key, value, (size_t)length, 0) : fsetxattr(to, key, value, (size_t)length, 0);
    /* Labels are the host's own affair. */
    if (set < 0 && strcmp(key, "security.selinux") != 0) return failed(copy, "setxattr");
  }
  return 0;
}

/* Whose a copy is to be. One whom nobody is to be stays out: it would be given to whoever copies. */
static int owner_of_copy(struct layer_copy *copy, const struct stat *status, uid_t *uid, gid_t *gid) {
  *uid = copy->uid_map ? id_outside(copy->uid_map, status->st_uid) : status->st_uid;
  *gid = copy->gid_map ? id_outside(copy->gid_map, status->st_gid) : status->st_gid;
  if (*uid != (uid_t)-1 && *gid != (gid_t)-1) return 0;
  errno = EOVERFLOW;
  return failed(copy, "fchown");
}

/* Data by data, so that holes stay holes. */
static int copy_contents(struct layer_copy *copy, int from, int to, off_t size) {
  if (ioctl(to, FICLONE, from) == 0) return 0;
  for (off_t at = 0; at < size;) {
    off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    if (data < 0) return failed(copy, "lseek");
    off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0) return failed(copy, "lseek");
    off_t in = data, out = data;
    while (in < hole) {
      ssize_t done = copy_file_range(from, &in, to, &out, (size_t)(hole - in), 0);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return failed(copy, "copy_file_range");
      if (done == 0) break;
    }
    at = hole;
  }
  return ftruncate(to, size) < 0 ? failed(copy, "ftruncate") : 0;
}

static int copy_file(struct layer_copy *copy, int from, int to, const char *name, const struct stat *status) {
  uid_t uid;
  gid_t gid;
  if (owner_of_copy(copy, status, &uid, &gid) < 0) return -1;
  autoclose int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (in < 0) return failed(copy, "openat");
  autoclose int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0) return failed(copy, "openat");
  if (copy_contents(copy, in, out, status->st_size) < 0) return -1;
  /* In this order: a change of owner clears set-id bits and capabilities. */
  if (fchown(out, uid, gid) < 0) return failed(copy, "fchown");
  if (fchmod(out, status->st_mode & 07777) < 0) return failed(copy, "fchmod");
  if (copy_xattrs(copy, in, out, NULL) < 0) return -1;
  const struct timespec times[2] = {status->st_atim, status->st_mtim};
  return futimens(out, times) < 0 ? failed(copy, "futimens") : 0;
}

static int copy_node(struct layer_copy *copy, int from, int to, const char *name, const struct stat *status) {
  uid_t uid;
  gid_t gid;
  if (owner_of_copy(copy, status, &uid, &gid) < 0) return -1;
  if (S_ISLNK(status->st_mode)) {
    char target[PATH_MAX];
    ssize_t size = readlinkat(from, name, target, sizeof(target) - 1);
    if (size < 0) return failed(copy, "readlinkat");
    target[size] = '\0';
    if (symlinkat(target, to, name) < 0) return failed(copy, "symlinkat");
  } else if (mknodat(to, name, status->st_mode, status->st_rdev) < 0) {
    return failed(copy, "mknodat");
  }
  if (fchownat(to, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) return failed(copy, "fchownat");
  if (!S_ISLNK(status->st_mode) && fchmodat(to, name, status->st_mode & 07777, 0) < 0) return failed(copy, "fchmodat");
  if (copy_xattrs(copy, from, to, name) < 0) return -1;
  const struct timespec times[2] = {status->st_atim, status->st_mtim};
  return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? failed(copy, "utimensat") : 0;
}

int copy_layer_entry(struct layer_copy *copy, int from, int to, const char *name, const struct stat *status,
                     const char *path) {
  if (S_ISDIR(status->st_mode)) return mkdirat(to, name, 0700) < 0 ? failed(copy, "mkdirat") : 0;
  if (status->st_nlink > 1) {
    char whole[PATH_MAX];
    int length = snprintf(whole, sizeof whole, "%s%s%s", path, *path ? "/" : "", name);
    /* A name that is too long for this makes a copy of its own. */
    if (length > 0 && (size_t)length < sizeof whole) {
      const char *first = links_seen(&copy->links, status->st_dev, status->st_ino, whole);
      if (first) return linkat(copy->top, first, to, name, 0) < 0 ? failed(copy, "linkat") : 0;
      if (errno != 0) return failed(copy, "malloc");
    }
  }
  return S_ISREG(status->st_mode) ? copy_file(copy, from, to, name, status) : copy_node(copy, from, to, name, status);
}

int copy_layer_directory(struct layer_copy *copy, int from, int to, const struct stat *status) {
  uid_t uid;
  gid_t gid;
  if (owner_of_copy(copy, status, &uid, &gid) < 0) return -1;
  if (fchown(to, uid, gid) < 0) return failed(copy, "fchown");
  if (fchmod(to, status->st_mode & 07777) < 0) return failed(copy, "fchmod");
  if (copy_xattrs(copy, from, to, NULL) < 0) return -1;
  const struct timespec times[2] = {status->st_atim, status->st_mtim};
  return futimens(to, times) < 0 ? failed(copy, "futimens") : 0;
}
