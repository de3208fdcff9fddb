/* Operations that make files inside the container's root. What is there already stays, where it is of that kind. */
#include "child.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "resolve.h"

/* Owner and mode by descriptor, whatever the umask; O_PATH descriptors take both through AT_EMPTY_PATH and /proc. */
static int own(int parent, const char *name, uint32_t mode, uint32_t uid, uint32_t gid, struct failure *failure) {
  if (fchownat(parent, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0) return fail(failure, "fchownat");
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return fail(failure, "fstatat");
  if ((status.st_mode & 07777) == (mode & 07777)) return 0;
  /* Nobody else is in this root yet, so the name is still what we made; fchmodat(2) follows links, checked above. */
  if (S_ISLNK(status.st_mode)) return 0;
  return fchmodat(parent, name, mode & 07777, 0) < 0 ? fail(failure, "fchmodat") : 0;
}

int op_mkdir(struct child *child, struct reader *fields) {
  const char *path = read_text(fields), *name;
  uint32_t mode = read_u32(fields), uid = read_u32(fields), gid = read_u32(fields);
  autoclose int parent = resolve_parent(child->root, path, &name);
  if (parent < 0) return fail(&child->failure, "openat2");
  if (mkdirat(parent, name, (mode_t)mode & 07777) == 0) return own(parent, name, mode, uid, gid, &child->failure);
  if (errno != EEXIST) return fail(&child->failure, "mkdirat");
  autoclose int there = resolve(child->root, path, O_PATH | O_DIRECTORY);
  return there < 0 ? fail(&child->failure, "mkdirat") : 0;
}

int op_mknod(struct child *child, struct reader *fields) {
  const char *path = read_text(fields), *name;
  uint8_t type = read_u8(fields);
  uint32_t mode = read_u32(fields), major = read_u32(fields), minor = read_u32(fields);
  uint32_t uid = read_u32(fields), gid = read_u32(fields);
  mode_t kind = type == 'c' ? S_IFCHR : type == 'b' ? S_IFBLK : S_IFIFO;
  dev_t device = makedev(major, minor);
  autoclose int parent = resolve_parent(child->root, path, &name);
  if (parent < 0) return fail(&child->failure, "openat2");
  if (mknodat(parent, name, kind | ((mode_t)mode & 07777), device) == 0)
    return own(parent, name, mode, uid, gid, &child->failure);
  if (errno != EEXIST) return fail(&child->failure, "mknodat");
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return fail(&child->failure, "fstatat");
  if ((status.st_mode & S_IFMT) == kind && (kind == S_IFIFO || status.st_rdev == device)) return 0;
  errno = EEXIST;
  return fail(&child->failure, "mknodat");
}

int op_symlink(struct child *child, struct reader *fields) {
  const char *target = read_text(fields), *path = read_text(fields), *name;
  autoclose int parent = resolve_parent(child->root, path, &name);
  if (parent < 0) return fail(&child->failure, "openat2");
  if (symlinkat(target, parent, name) == 0 || errno == EEXIST) return 0;
  return fail(&child->failure, "symlinkat");
}

int op_write_file(struct child *child, struct reader *fields) {
  const char *path = read_text(fields);
  uint32_t mode = read_u32(fields);
  struct blob content = read_blob(fields);
  autoclose int target = resolve_or_make(child->root, path, MAKE_FILE);
  if (target < 0) return fail(&child->failure, "openat2");
  struct stat status;
  if (fstat(target, &status) < 0) return fail(&child->failure, "fstat");
  errno = 0;
  if (!S_ISREG(status.st_mode)) return fail_because(&child->failure, REASON_NOT_A_FILE, "fstat");
  autoclose int fd = resolve(child->root, path, O_WRONLY | O_TRUNC | O_NONBLOCK);
  if (fd < 0) return fail(&child->failure, "openat2");
  if (write_all(fd, content.data, content.size) < 0) return fail(&child->failure, "write");
  return fchmod(fd, (mode_t)mode & 07777) < 0 ? fail(&child->failure, "fchmod") : 0;
}
