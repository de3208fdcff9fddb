/*
 * The terminal of a new process: a pair of the container's own devpts (pty(7)), whose master goes to the monitor. The slave
 * is asked of the master and never looked up as /dev/pts/N, which somebody could have swapped (CVE-2025-52565), and
 * /dev/console is a mount of that very descriptor.
 */
#include "child.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "resolve.h"

/* The root of a devpts below /dev/pts. What is found is looked at: an exec finds there what the container has made of it. */
static int open_devpts(struct child *child) {
  autoclose int devpts = resolve(child->root, "dev/pts", O_PATH | O_DIRECTORY);
  if (devpts < 0) return fail(&child->failure, "openat2");
  struct statfs status;
  if (fstatfs(devpts, &status) < 0) return fail(&child->failure, "fstatfs");
  if (status.f_type == DEVPTS_SUPER_MAGIC) return steal_fd(&devpts);
  errno = 0;
  return fail_because(&child->failure, REASON_NOT_DEVPTS, "fstatfs");
}

/* A new master. In a devpts there is nothing but its ptmx and slaves, and what is mounted over them is refused. */
static int open_master(struct child *child, int devpts) {
  uint64_t inside = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  int master = sys_openat2(devpts, "ptmx", O_RDWR | O_NOCTTY, 0, inside);
  return master < 0 ? fail(&child->failure, "openat2") : master;
}

/* Where /dev/console is or shall be, which must be no link: what is mounted there is mounted over what it led to. */
static int open_console(struct child *child) {
  const char *name;
  autoclose int directory = resolve_parent(child->root, "dev/console", &name);
  if (directory < 0) return fail(&child->failure, "openat2");
  int made = openat(directory, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0600);
  if (made >= 0) close(made);
  else if (errno != EEXIST) return fail(&child->failure, "openat");
  int place = sys_openat2(directory, name, O_PATH, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  return place < 0 ? fail(&child->failure, "openat2") : place;
}

static int mount_console(struct child *child, int slave) {
  autoclose int place = open_console(child);
  if (place < 0) return -1;
  autoclose int mount = open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  return mount < 0 ? fail(&child->failure, "open_tree") : attach_mount(child, mount, place);
}

int op_terminal(struct child *child, struct reader *fields) {
  uint32_t columns = read_u32(fields), rows = read_u32(fields);
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  bool console = read_u8(fields) == 1;
  autoclose int devpts = open_devpts(child);
  if (devpts < 0) return -1;
  autoclose int master = open_master(child, devpts);
  if (master < 0) return -1;
  int locked = 0;
  if (ioctl(master, TIOCSPTLCK, &locked) < 0) return fail(&child->failure, "ioctl TIOCSPTLCK");
  if (ioctl(master, TIOCSWINSZ, &size) < 0) return fail(&child->failure, "ioctl TIOCSWINSZ");
  autoclose int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return fail(&child->failure, "ioctl TIOCGPTPEER");
  if (console && mount_console(child, slave) < 0) return -1;
  uint32_t kind = RECORD_TERMINAL;
  if (tell_with(&kind, sizeof(kind), master) < 0) return fail(&child->failure, "sendmsg");
  /* Only the leader of a session, as which we began, can have a terminal that signals reach it by (TIOCSCTTY). */
  child->has_terminal = true;
  if (!child->unborn && ioctl(slave, TIOCSCTTY, 0) < 0) return fail(&child->failure, "ioctl TIOCSCTTY");
  for (int fd = 0; fd < 3; fd++)
    if (dup2(slave, fd) < 0) return fail(&child->failure, "dup2");
  return 0;
}
