/*
 * The namespaces of an ordinary user: one user namespace, in which he is root, and one mount namespace, which all his
 * launchers on one run directory share, and with them their monitors. Processes of two user namespaces have no rights over
 * each other, so that another launcher's containers could not be entered, nor their networks joined.
 *
 *   host → launcher   REQUEST_MAKE                  make both
 *   launcher → host   FRAME_UNMAPPED                the user namespace is there, and waits for its maps
 *   host → launcher   REQUEST_MAPPED
 *   host → launcher   REQUEST_JOIN, a pidfd         enter those of this process instead
 *   launcher → host   FRAME_INSIDE, or FRAME_FAILED, whose `index` is a step below; then another request may follow
 *
 * All of it is done before this program executes itself anew from its sealed copy (sealed.h): a memory that begins in the user
 * namespace belongs to that, so that who has rights there has them over it, not dumpable as it is.
 */
#include "rootless.h"

#include <sched.h>

#include "protocol.h"

enum { CONTROL_FD = 3 };
enum { STEP_USER, STEP_MOUNT, STEP_JOIN };

static void tell(enum frame_kind kind) {
  send_frame(CONTROL_FD, kind, NULL, 0, NULL, 0);
}

static int fail_at(uint32_t step, const char *call) {
  struct failure failure = {.stage = STAGE_NAMESPACES, .index = step};
  fail(&failure, call);
  send_frame(CONTROL_FD, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
  return -1;
}

/* A mount namespace that is made by a new user namespace is a slave of the host's by the kernel's own doing. */
static int make_mounts(void) {
  if (unshare(CLONE_NEWNS) < 0) return fail_at(STEP_MOUNT, "unshare");
  tell(FRAME_INSIDE);
  return 0;
}

int rootless_enter(void) {
  for (;;) {
    struct request request;
    int fds[REQUEST_FDS];
    size_t count;
    int got = receive_request(CONTROL_FD, &request, fds, &count);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 1; /* nobody waits for us any more */
    int done = -1;
    switch (request.kind) {
      case REQUEST_MAKE:
        /* Not with the mount namespace in one: which of both is refused must be known. */
        if (unshare(CLONE_NEWUSER) < 0) fail_at(STEP_USER, "unshare");
        else tell(FRAME_UNMAPPED);
        break;
      case REQUEST_MAPPED: done = make_mounts(); break;
      case REQUEST_JOIN:
        if (count != 1) return 1;
        done = setns(fds[0], CLONE_NEWUSER | CLONE_NEWNS);
        if (done < 0) fail_at(STEP_JOIN, "setns");
        else tell(FRAME_INSIDE);
        break;
      default: return 1;
    }
    for (size_t i = 0; i < count; i++) close(fds[i]);
    if (done == 0) return 0;
  }
}
