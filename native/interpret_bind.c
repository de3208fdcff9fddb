/* Bind mounts: of a path of the host, of a path inside of one, with ids mapped, and with owners changed. */
#include "child.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "idmap.h"
#include "outside.h"
#include "passwd.h"
#include "resolve.h"
#include "walk.h"

/*
 * A copy of the mount tree at `source`, or at `subpath` of it. That is found by one lookup that can't leave the source,
 * and taken by its descriptor: a link that a container puts there leads nowhere else, whenever it does (CVE-2021-25741).
 */
static int clone_source(const char *source, const char *subpath, unsigned recursive) {
  if (!subpath) return open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive);
  autoclose int base = open(source, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (base < 0) return -1;
  autoclose int below = resolve(base, subpath, O_PATH);
  if (below < 0) return -1;
  return open_tree(below, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
}

/* The same in the mount namespace that the plan names: a copy that is mounted nowhere yet can leave it. */
static int clone_peer_source(const struct child *child, const char *source, const char *subpath, unsigned recursive) {
  const struct plan *plan = child->plan;
  autoclose int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (home < 0 || setns(child->outside ? plan->peer_fd : peer_fd(plan), CLONE_NEWNS) < 0) return -1;
  if (!child->outside) close(peer_fd(plan));
  autoclose int made = clone_source(source, subpath, recursive);
  int error = errno;
  if (setns(home, CLONE_NEWNS) < 0) return -1;
  errno = error;
  return steal_fd(&made);
}


int op_keep_root(struct child *child, struct reader *fields) {
  uint32_t slot = read_u32(fields);
  const char *subpath = read_maybe(fields);
  errno = EINVAL;
  if (slot >= array_length(child->taken) || child->taken[slot] > 0) return fail(&child->failure, "open_tree");
  autoclose int from = resolve(child->root, subpath ? subpath : ".", O_PATH);
  if (from < 0) return fail(&child->failure, "open_tree");
  int made = open_tree(from, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  if (made < 0) return fail(&child->failure, "open_tree");
  child->taken[slot] = made;
  /* What comes next is made on the host's root again. */
  close_fd(&child->root);
  child->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return child->root < 0 ? fail(&child->failure, "open /") : 0;
}

static int change_owner(int parent, const char *name, const struct stat *status, const void *context,
                        struct failure *failure) {
  const struct identity *owner = context;
  if (status->st_uid == owner->uid && status->st_gid == owner->gid) return 0;
  if (fchownat(parent, name, owner->uid, owner->gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 || errno == ENOENT) return 0;
  return fail(failure, "fchownat");
}

/* All of it becomes the user's, as the container's own /etc/passwd says who that is. */
static int give_to(struct child *child, int mount, const char *user) {
  static struct identity owner;
  struct list none = {0};
  if (find_identity(child->root, user, &none, &owner, &child->failure) < 0) return -1;
  if (child->outside) {
    owner.uid = id_outside(child->plan->uid_map, owner.uid);
    owner.gid = id_outside(child->plan->gid_map, owner.gid);
  }
  return walk_tree(mount, "", change_owner, &owner, &child->failure);
}

static int map_ids(int mount, const char *uid_map, const char *gid_map, unsigned recursive, struct failure *failure) {
  autoclose int space = make_user_namespace(uid_map, gid_map);
  if (space < 0) return fail(failure, "clone3");
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)space};
  if (mount_setattr(mount, "", AT_EMPTY_PATH | recursive, &attributes, sizeof(attributes)) < 0)
    return fail(failure, "mount_setattr idmap");
  return 0;
}

int op_take(struct child *child, struct reader *fields) {
  uint32_t slot = read_u32(fields);
  const char *source = read_text(fields), *subpath = read_maybe(fields);
  unsigned recursive = read_u8(fields) == 1 ? AT_RECURSIVE : 0;
  bool of_peer = read_u8(fields) == 1;
  const char *owner = read_maybe(fields), *uid_map = read_maybe(fields), *gid_map = read_maybe(fields);
  errno = EINVAL;
  if (slot >= array_length(child->taken) || child->taken[slot] > 0) return fail(&child->failure, "open_tree");
  autoclose int made =
      of_peer ? clone_peer_source(child, source, subpath, recursive) : clone_source(source, subpath, recursive);
  if (made < 0) return fail(&child->failure, "open_tree");
  if (uid_map && gid_map && map_ids(made, uid_map, gid_map, recursive, &child->failure) < 0) return -1;
  if (owner && give_to(child, made, owner) < 0) return -1;
  child->taken[slot] = steal_fd(&made);
  return 0;
}

int op_map_ids(struct child *child, struct reader *fields) {
  const char *path = read_text(fields), *uid_map = read_text(fields), *gid_map = read_text(fields);
  autoclose int made = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (made < 0) return fail(&child->failure, "open_tree");
  if (map_ids(made, uid_map, gid_map, 0, &child->failure) < 0) return -1;
  if (move_mount(made, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) return fail(&child->failure, "move_mount");
  return 0;
}

int op_bind(struct child *child, struct reader *fields) {
  uint32_t slot = read_u32(fields);
  const char *source = read_text(fields), *subpath = read_maybe(fields), *target = read_text(fields);
  unsigned recursive = read_u8(fields) == 1 ? AT_RECURSIVE : 0;
  struct mount_attr attributes = {.attr_set = read_u32(fields), .attr_clr = read_u32(fields)};
  struct mount_attr top = {.attr_set = read_u32(fields), .attr_clr = read_u32(fields)};
  attributes.propagation = propagation_flag(read_u8(fields));
  bool optional = read_u8(fields) == 1;
  const char *owner = read_maybe(fields), *uid_map = read_maybe(fields), *gid_map = read_maybe(fields);
  const char *label = read_maybe(fields);
  struct list kept = read_texts(fields);

  errno = EINVAL; /* what an empty slot fails with, as it gives no reason of its own */
  autoclose int made = slot < array_length(child->taken) ? child->taken[slot] : clone_source(source, subpath, recursive);
  if (slot < array_length(child->taken)) child->taken[slot] = 0;
  /*
   * Mounts are listed in the order that they were made in, which is to be that of the plan. Before Linux 6.15 none can be made
   * of one that is nowhere yet; then it is that one.
   */
  if (made > 0 && slot < array_length(child->taken)) {
    int again = open_tree(made, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
    if (again >= 0) {
      close(made);
      made = again;
    }
  }
  if (made <= 0) return optional && errno == ENOENT ? 0 : fail(&child->failure, "open_tree");
  struct stat status;
  if (fstat(made, &status) < 0) return fail(&child->failure, "fstat");
  if (uid_map && gid_map && map_ids(made, uid_map, gid_map, recursive, &child->failure) < 0) return -1;
  if (owner && give_to(child, made, owner) < 0) return -1;
  if (label && relabel_tree(made, label, kept, &child->failure) < 0) return -1;
  bool needed = attributes.attr_set || attributes.attr_clr || attributes.propagation;
  if (needed && mount_setattr(made, "", AT_EMPTY_PATH | recursive, &attributes, sizeof(attributes)) < 0)
    return fail(&child->failure, "mount_setattr");
  if ((top.attr_set || top.attr_clr) && mount_setattr(made, "", AT_EMPTY_PATH, &top, sizeof(top)) < 0)
    return fail(&child->failure, "mount_setattr");
  autoclose int place = resolve_or_make(child->root, target, S_ISDIR(status.st_mode) ? MAKE_DIRECTORY : MAKE_FILE);
  if (place < 0) return fail(&child->failure, "openat2");
  return attach_mount(child, made, place);
}

/* Ask the keeper of a volume for a copy of its mount (keep.c). */
static int ask_keeper(const char *path, struct failure *failure) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  errno = ENAMETOOLONG;
  if (strlen(path) >= sizeof(address.sun_path)) return fail(failure, "connect");
  memcpy(address.sun_path, path, strlen(path) + 1);
  autoclose int keeper = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (keeper < 0) return fail(failure, "socket");
  const struct timeval patience = {.tv_sec = 30};
  if (setsockopt(keeper, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) return fail(failure, "setsockopt");
  if (connect(keeper, (struct sockaddr *)&address, sizeof(address)) < 0) return fail(failure, "connect");
  if (send(keeper, "m", 1, MSG_NOSIGNAL) < 0) return fail(failure, "send");
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  char word = 0;
  struct iovec part = {.iov_base = &word, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  if (recvmsg(keeper, &message, MSG_CMSG_CLOEXEC) < 0) return fail(failure, "recvmsg");
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  errno = ENOENT;
  if (word != 'k' || !header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
    return fail(failure, "recvmsg");
  int mount;
  memcpy(&mount, CMSG_DATA(header), sizeof(mount));
  return mount;
}

int op_adopt(struct child *child, struct reader *fields) {
  const char *keeper = read_text(fields), *target = read_text(fields);
  autoclose int mount = ask_keeper(keeper, &child->failure);
  if (mount < 0) return -1;
  autoclose int place = resolve(child->root, target, O_PATH | O_DIRECTORY);
  if (place < 0) return fail(&child->failure, "openat2");
  return attach_mount(child, mount, place);
}
