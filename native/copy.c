#include "copy.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "common.h"
#include "pack.h"
#include "unpack.h"

/*
 * Files then have the ids that the container's own users see, and what is written has owners among them. It is no more within
 * the container's reach for that: its memory belongs to the host's namespace, whoever it is (ptrace(2)).
 */
static int become_root_of(int users) {
  if (setns(users, CLONE_NEWUSER) < 0 || setgroups(0, NULL) < 0) return -1;
  return setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? -1 : 0;
}

/*
 * A mount namespace shows what its container sees, all that is mounted in it included, and nothing else: the host's root
 * was detached from it before its first program ran. No user of the container can see, trace or end this process, which
 * is in none of its other namespaces and cgroups, so that it works while the container is frozen, too.
 */
static int enter(int tree, uint32_t from, int users) {
  if (users >= 0 && become_root_of(users) < 0) return -1;
  if (from == COPY_NAMESPACE) return setns(tree, CLONE_NEWNS) < 0 ? -1 : chdir("/");
  return fchdir(tree);
}

int copy_main(int tree, int in, int out, uint32_t from, uint32_t way, int users) {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NAME, "podling-copy");
  if (way == COPY_IN) return enter(tree, from, users) < 0 ? 1 : unpack_main(in, out, ".");
  /* The host's, opened before it is out of sight: by it a descriptor that names a file can become one that reads it. */
  autoclose int descriptors = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptors < 0 || enter(tree, from, users) < 0) return 1;
  return pack_main(in, out, descriptors, way == COPY_ASK);
}
