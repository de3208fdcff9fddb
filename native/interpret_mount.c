/*
 * Operations on the mount namespace, by the new mount API: a mount is made apart from the tree (fsopen, open_tree),
 * given its flags, and only then moved onto a descriptor. So it is never visible with the wrong flags, and its target
 * can't be swapped for a symlink between a check and the mount.
 */
#include "child.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "mounts.h"
#include "resolve.h"

uint64_t propagation_flag(uint8_t propagation) {
  switch (propagation) {
    case PROPAGATION_PRIVATE: return MS_PRIVATE;
    case PROPAGATION_SLAVE: return MS_SLAVE;
    case PROPAGATION_SHARED: return MS_SHARED;
    case PROPAGATION_UNBINDABLE: return MS_UNBINDABLE;
    default: return 0;
  }
}

int attach_mount(struct child *child, int mount, int target) {
  if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return 0;
  return fail(&child->failure, "move_mount");
}

int op_propagation(struct child *child, struct reader *fields) {
  uint8_t mode = read_u8(fields);
  if (mount(NULL, "/", NULL, MS_REC | propagation_flag(mode), NULL) < 0) return fail(&child->failure, "mount");
  child->propagation_cut = mode != PROPAGATION_SHARED;
  return 0;
}

/* The root's mount is attached at `at` and becomes child->root. */
static int take_root(struct child *child, int *mount, const char *at) {
  if (move_mount(*mount, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0) return fail(&child->failure, "move_mount");
  close_fd(&child->root);
  child->root = steal_fd(mount);
  return 0;
}

int op_root_overlay(struct child *child, struct reader *fields) {
  struct list lower = read_texts(fields);
  const char *upper = read_maybe(fields), *work = read_maybe(fields);
  struct list options = read_texts(fields);
  const char *at = read_text(fields);
  if (work) allow_volatile(work);
  autoclose int made = make_overlay(&lower, upper, work, &options, &child->failure);
  if (made >= 0) return take_root(child, &made, at);
  if (child->failure.error != EINVAL) return -1;
  /* lowerdir+ came with Linux 6.8. Where the old way fails as well, its word is the one that counts. */
  if (mount_overlay_old(&lower, upper, work, &options, at, &child->failure) < 0) return -1;
  close_fd(&child->root);
  child->root = open(at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return child->root < 0 ? fail(&child->failure, "open") : 0;
}

int op_root_bind(struct child *child, struct reader *fields) {
  const char *source = read_text(fields);
  autoclose int made = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (made < 0) return fail(&child->failure, "open_tree");
  return take_root(child, &made, source);
}

/* A new file system, mounted nowhere yet. */
static int make_mount(const char *type, const char *source, uint32_t attributes, struct list options,
                      const char *label, struct failure *failure) {
  autoclose int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return fail(failure, "fsopen");
  autorelease struct held_paths held = {0};
  if (*source && set_mount_value(context, "source", source, &held) < 0) return fail(failure, "fsconfig source");
  for (uint32_t i = 0; i < options.count; i++)
    if (set_mount_option(context, read_text(&options.items), &held) < 0) return fail(failure, "fsconfig");
  if (label && set_mount_value(context, "context", label, &held) < 0) return fail(failure, "fsconfig context");
  if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return fail(failure, "fsconfig create");
  int made = fsmount(context, FSMOUNT_CLOEXEC, attributes);
  return made < 0 ? fail(failure, "fsmount") : made;
}

static bool names_option(struct list options, const char *prefix) {
  for (uint32_t i = 0; i < options.count; i++)
    if (strncmp(read_text(&options.items), prefix, strlen(prefix)) == 0) return true;
  return false;
}

/* Fill a new mount with what the image has at its place. What the options say of its root wins, as with crun and runc. */
static int fill_mount(int place, int made, struct list options, struct failure *failure) {
  struct stat given;
  if (fstat(made, &given) < 0) return fail(failure, "fstat");
  if (copy_tree(place, made, failure) < 0) return -1;
  autoclose int root = openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return fail(failure, "openat");
  uid_t owner = names_option(options, "uid=") ? given.st_uid : (uid_t)-1;
  gid_t group = names_option(options, "gid=") ? given.st_gid : (gid_t)-1;
  if (fchown(root, owner, group) < 0) return fail(failure, "fchown");
  if (names_option(options, "mode=") && fchmod(root, given.st_mode & 07777) < 0) return fail(failure, "fchmod");
  return 0;
}

/*
 * The directory to fill a mount from. One that the image lacks is made as open to all as a tmpfs is by itself, so that the
 * next start, which finds it, gives the same. In a volume it stays closed: others than this container see that one.
 */
static int find_or_make_open(int root, const char *target) {
  int place = resolve(root, target, O_PATH);
  if (place >= 0) return place;
  place = resolve_or_make(root, target, MAKE_DIRECTORY);
  struct stat own, made;
  if (place < 0 || fstat(root, &own) < 0 || fstat(place, &made) < 0 || own.st_dev != made.st_dev) return place;
  autoclose int open = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (open < 0 || fchmod(open, 01777) < 0) close_fd(&place);
  return place;
}

/* Of file systems that one superblock serves for more than this mount, so that no option can say it. */
static int label_mount(int made, const char *label, struct failure *failure) {
  autoclose int root = openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return fail(failure, "openat");
  if (fsetxattr(root, "security.selinux", label, strlen(label) + 1, 0) == 0 || errno == EOPNOTSUPP) return 0;
  return fail(failure, "fsetxattr");
}

/* The mode of the directory that a tmpfs covers, where no option says another, as with crun and runc. */
static int keep_mode(int place, int made, struct failure *failure) {
  struct stat status;
  if (fstat(place, &status) < 0) return fail(failure, "fstat");
  autoclose int root = openat(made, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return fail(failure, "openat");
  return fchmod(root, status.st_mode & 07777) < 0 ? fail(failure, "fchmod") : 0;
}

int op_mount(struct child *child, struct reader *fields) {
  const char *type = read_text(fields), *source = read_text(fields), *target = read_text(fields);
  uint32_t attributes = read_u32(fields);
  read_u32(fields); /* flags to clear: a new mount has none */
  struct list options = read_texts(fields);
  bool copy_up = read_u8(fields) == 1;
  const char *label = read_maybe(fields);

  bool keeps_mode = !copy_up && strcmp(type, "tmpfs") == 0 && !names_option(options, "mode=");
  autoclose int found = keeps_mode ? resolve(child->root, target, O_PATH) : -1;
  autoclose int place =
      copy_up ? find_or_make_open(child->root, target) : resolve_or_make(child->root, target, MAKE_DIRECTORY);
  if (place < 0) return fail(&child->failure, "openat2");
  /* To be filled first, or given its mode, and made read-only only then. */
  uint32_t first = copy_up || keeps_mode ? attributes & ~(uint32_t)MOUNT_ATTR_RDONLY : attributes;
  autoclose int made = make_mount(type, source, first, options, NULL, &child->failure);
  if (made < 0) return -1;
  if (label && label_mount(made, label, &child->failure) < 0) return -1;
  if (copy_up && fill_mount(place, made, options, &child->failure) < 0) return -1;
  if (found >= 0 && keep_mode(found, made, &child->failure) < 0) return -1;
  if (first != attributes) {
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    if (mount_setattr(made, "", AT_EMPTY_PATH, &read_only, sizeof(read_only)) < 0)
      return fail(&child->failure, "mount_setattr");
  }
  return attach_mount(child, made, place);
}

int op_pivot_root(struct child *child, struct reader *fields) {
  (void)fields;
  if (fchdir(child->root) < 0) return fail(&child->failure, "fchdir");
  /* Old root onto new root: no directory for it is needed in the image, and "." then is the old one (pivot_root(2)). */
  if (sys_pivot_root(".", ".") < 0) return fail(&child->failure, "pivot_root");
  /* Else a shared tree would pass the unmount on to the host. */
  if (!child->propagation_cut && mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0)
    return fail(&child->failure, "mount");
  if (umount2(".", MNT_DETACH) < 0) return fail(&child->failure, "umount2");
  if (chdir("/") < 0) return fail(&child->failure, "chdir");
  child->pivoted = true;
  return 0;
}

int op_mask(struct child *child, struct reader *fields) {
  const char *path = read_text(fields), *label = read_maybe(fields);
  autoclose int place = resolve(child->root, path, O_PATH);
  if (place < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(&child->failure, "openat2");
  struct stat status;
  if (fstat(place, &status) < 0) return fail(&child->failure, "fstat");
  if (!S_ISDIR(status.st_mode)) {
    autoclose int null = open_dev_null(child, O_PATH);
    if (null < 0) return -1;
    autoclose int cover = open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    return cover < 0 ? fail(&child->failure, "open_tree") : attach_mount(child, cover, place);
  }
  /* One empty tmpfs serves for all: a clone of a mount costs a tenth of a new file system. */
  if (child->empty_mount < 0) {
    uint32_t attributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    child->empty_mount = make_mount("tmpfs", "tmpfs", attributes, (struct list){0}, label, &child->failure);
    if (child->empty_mount < 0) return -1;
    if (attach_mount(child, child->empty_mount, place) < 0) {
      close_fd(&child->empty_mount);
      return -1;
    }
    return 0;
  }
  autoclose int cover = open_tree(child->empty_mount, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  return cover < 0 ? fail(&child->failure, "open_tree") : attach_mount(child, cover, place);
}

int op_read_only(struct child *child, struct reader *fields) {
  const char *path = read_text(fields);
  autoclose int place = resolve(child->root, path, O_PATH);
  if (place < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(&child->failure, "openat2");
  autoclose int cover = open_tree(place, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (cover < 0) return fail(&child->failure, "open_tree");
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  if (mount_setattr(cover, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
    return fail(&child->failure, "mount_setattr");
  return attach_mount(child, cover, place);
}

int op_mount_read_only(struct child *child, struct reader *fields) {
  const char *path = read_text(fields);
  autoclose int place = resolve(child->root, path, O_PATH | O_DIRECTORY);
  if (place < 0) return fail(&child->failure, "openat2");
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  if (mount_setattr(place, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
    return fail(&child->failure, "mount_setattr");
  return 0;
}
