/*
 * What is done for a container with a user namespace before it is in it. Only the host's root may look into the host's
 * directories, map the ids of a file system and mount any: so a stage makes the container's root and takes what is bound into
 * it, in a mount namespace of its own, and the new process inherits all of it as mounts that stand nowhere.
 */
#include "outside.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

void child_begin(struct child *child, const struct plan *plan) {
  *child = (struct child){.plan = plan, .root = -1, .empty_mount = -1};
}

uint32_t id_outside(const char *map, uint32_t id) {
  for (char *end; *map; map = *end == '\n' ? end + 1 : end) {
    unsigned long inside = strtoul(map, &end, 10), outside = strtoul(end, &end, 10), count = strtoul(end, &end, 10);
    if (id >= inside && id - inside < count) return (uint32_t)(outside + (id - inside));
    if (end == map) break;
  }
  return (uint32_t)-1;
}

int outside_give_streams(const struct plan *plan, const int stdio[3]) {
  if (!plan->uid_map || !plan->gid_map) return 0;
  for (int i = 0; i < 3; i++) {
    struct stat status;
    if (stdio[i] < 0 || fstat(stdio[i], &status) < 0 || !S_ISFIFO(status.st_mode)) continue;
    /* So that it can be opened again as /dev/stdout; one of the caller's may be anybody's. */
    uid_t uid = id_outside(plan->uid_map, 0);
    gid_t gid = id_outside(plan->gid_map, 0);
    if (fchown(stdio[i], uid, gid) < 0 && errno != EPERM && errno != EINVAL) return -1;
  }
  return 0;
}

/* Above all numbers that have a meaning in the new process. */
static int keep_above(const struct child *child, int *fd) {
  int lowest = start_fd(child->plan) + 1;
  if (*fd >= lowest) return 0;
  int kept = fcntl(*fd, F_DUPFD_CLOEXEC, lowest);
  if (kept < 0) return -1;
  close(*fd);
  *fd = kept;
  return 0;
}

/* The mounts that it has in hand leave this namespace with it, and nothing else does. */
static int part_from_tree(struct child *child) {
  int root = open_tree(child->root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (root < 0) return fail(&child->failure, "open_tree");
  close(child->root);
  child->root = root;
  /* Here a device of the image would have the container's own root for an owner. */
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NODEV};
  if (mount_setattr(root, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) < 0)
    return fail(&child->failure, "mount_setattr");
  if (keep_above(child, &child->root) < 0) return fail(&child->failure, "fcntl");
  for (size_t i = 0; i < array_length(child->taken); i++)
    if (child->taken[i] > 0 && keep_above(child, &child->taken[i]) < 0) return fail(&child->failure, "fcntl");
  return 0;
}

int outside_prepare(struct child *child, const struct plan *plan, const int stdio[3]) {
  child_begin(child, plan);
  child->outside = true;
  child->failure.stage = STAGE_CLONE;
  if (unshare(CLONE_NEWNS) < 0) return fail(&child->failure, "unshare");
  if (interpret_outside(child) < 0 || part_from_tree(child) < 0) return -1;
  child->failure.stage = STAGE_STDIO;
  if (outside_give_streams(plan, stdio) < 0) return fail(&child->failure, "fchown");
  child->outside = false;
  return 0;
}

unsigned outside_next(const struct child *child, unsigned last) {
  if (child->plan->outside == 0) return ~0U;
  unsigned next = ~0U;
  if (child->root >= 0 && (unsigned)child->root > last) next = (unsigned)child->root;
  for (size_t i = 0; i < array_length(child->taken); i++) {
    unsigned fd = (unsigned)child->taken[i];
    if (fd > last && fd < next) next = fd;
  }
  return next;
}

/* The first step inside. Over the host's root, as all that is below it may be out of sight by now. */
int op_enter_user(struct child *child, struct reader *fields) {
  (void)fields;
  if (move_mount(child->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return fail(&child->failure, "move_mount");
  return 0;
}
