/* Where a container is accounted, limited and killed. The plan names all paths; policy is lib/cgroup's. */
#pragma once

#include "plan.h"
#include "protocol.h"

/* Make the plan's directories. `made` has room for each, and tells which are new: only those are removed again. */
int cgroup_make(const struct plan *plan, bool *made, struct failure *failure);
/* Write the limits and attach the device program. */
int cgroup_limit(const struct plan *plan, struct failure *failure);
/* Move a process (0: the caller) into the v1 hierarchies, other than those that it was born in by its warm slot. */
struct slot;
int cgroup_attach(const struct plan *plan, pid_t pid, const struct slot *slot, struct failure *failure);

/* Send a signal to every process. SIGKILL is done so that a fork bomb or a frozen cgroup can't evade it. */
void cgroup_signal(const struct plan *plan, int signal);
bool cgroup_populated(const struct plan *plan);
/* How many of its processes the kernel has killed for want of memory, since the cgroup was made. */
uint64_t cgroup_oom_kills(const struct plan *plan);
int cgroup_freeze(const struct plan *plan, bool freeze);
/* Has the last freeze or thaw come true? */
bool cgroup_is(const struct plan *plan, bool frozen);
/* Remove what the container made below. */
void cgroup_clear(const struct plan *plan, const bool *made);
/* Remove what was made, children first, with what the container made below. False: something is still in use. */
bool cgroup_remove(const struct plan *plan, bool *made);
/* Remove the directories that are shared, with the last that is in them. False: others are. */
bool cgroup_leave(const struct plan *plan);
