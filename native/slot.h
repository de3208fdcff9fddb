/*
 * A warm slot: a monitor made before its container is asked for, whose stub process sits in v1 cgroups already, and in
 * namespaces of its own. Moving a process into a v1 cgroup waits for an RCU grace period, 5 to 18 ms when nobody has done
 * so lately, and an empty network namespace takes half a millisecond; here both are over before the start begins. The stub
 * clones the container's pid 1, which is born where the stub is, and ends.
 *
 *   slot_wait: make PARENT/warm-PID for each parent ─▶ stub enters them, unshares ─▶ tell the host ─▶ wait for a launch
 *   launch:    rename the directories to the container's ─▶ wake the stub ─▶ it clones and ends ─▶ an ordinary monitor
 */
#pragma once

#include "clone.h"
#include "plan.h"

struct slot;

/*
 * Prepare a slot, tell of it over `stream` and wait there for a launch, with `passed` descriptors in `fds`. Ends the process
 * without a trace when the stream ends.
 */
struct slot *slot_wait(int stream, char *const *parents, size_t count, int fds[REQUEST_FDS], size_t *passed);

/*
 * Give the slot's directories the names that the plan wants, and mark them as made. False: the slot does not fit this
 * plan (it has other hierarchies, or what it wants is there already); it is gone then, and the start goes the plain way.
 */
bool slot_take(struct slot *slot, const struct plan *plan, bool *made);

/* Is the new process born in the cgroup of this cgroup.procs file? `slot`: NULL when there is none. */
bool slot_covers(const struct slot *slot, const char *attach);

/* As clone_stage(), but in the stub. The stub has ended then. */
pid_t slot_clone(struct slot *slot, const struct plan *plan, const int stdio[3], int link, enum go go, int into,
                 struct failure *failure);

/* End a slot that no container was started from, with its directories. NULL is fine. */
void slot_discard(struct slot *slot);

/* Remove what killed slots left behind. */
void slot_sweep(char *const *parents, size_t count);
