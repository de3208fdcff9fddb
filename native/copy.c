#include "copy.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "common.h"
#include "pack.h"
#include "unpack.h"

/*
 * A mount namespace shows what its container sees, all that is mounted in it included, and nothing else: the host's root
 * was detached from it before its first program ran. No user of the container can see, trace or end this process, which
 * is in none of its other namespaces and cgroups, so that it works while the container is frozen, too.
 */
static int enter(int tree, uint32_t from) {
  if (from == COPY_NAMESPACE) return setns(tree, CLONE_NEWNS) < 0 ? -1 : chdir("/");
  return fchdir(tree);
}

int copy_main(int tree, int in, int out, uint32_t from, uint32_t way) {
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NAME, "podling-copy");
  if (way == COPY_IN) return enter(tree, from) < 0 ? 1 : unpack_main(in, out, ".");
  /* The host's, opened before it is out of sight: by it a descriptor that names a file can become one that reads it. */
  autoclose int descriptors = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptors < 0 || enter(tree, from) < 0) return 1;
  return pack_main(in, out, descriptors, way == COPY_ASK);
}
