/* The making of a new process of a container: clone3(2), and what it does first, until its plan is interpreted. */
#pragma once

#include "plan.h"
#include "protocol.h"

/*
 * When a new process may go on. Limits are written while it makes its mounts, so that a start has two processors; it
 * must have them, and be in all its cgroups, before it forks or executes.
 */
enum go { GO_AT_ONCE, GO_BEFORE_EXEC, GO_AFTER_WORD };

/*
 * clone3(2) with the plan's new namespaces, but for those `made`. `stdio`: what to give it as 0, 1 and 2; -1: /dev/null.
 * `into`: its cgroup, or -1. `cgroup`: a cgroup namespace to enter, or a pidfd of a process in it, or -1. Returns in the
 * parent only: the pid, or -1.
 */
pid_t clone_child(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, uint64_t flags,
                  int into, int cgroup, int *pidfd, struct failure *failure);

/*
 * Be the new process for as long as a plan with OP_ENTER_PIDS has it unseen, with all namespaces but the pid namespace joined
 * and all cgroups entered: it is born from this one. `cgroup`: a cgroup namespace to enter, or -1.
 */
_Noreturn void clone_unborn(const struct plan *plan, const int stdio[3], int link, int cgroup);

/*
 * Open the namespaces that the plan names by paths of the host, or takes from the descriptors `given` to its process. The
 * monitor keeps them as long as its container: a path may soon lead to another's, and a mount namespace that is joined
 * takes the paths away.
 */
int clone_open_joined(struct plan *plan, const int *given, size_t count, struct failure *failure);

/*
 * Join them. A cgroup namespace is left to the new process (see enter() of process.c): its descriptor goes to `cgroup`, which
 * stays as it is where there is none.
 */
int clone_join(const struct plan *plan, int *cgroup, struct failure *failure);

/* In a stage: what the plan has to be done with the host's rights, before its user namespace is entered. */
int clone_outside(const struct plan *plan, const int stdio[3], struct failure *failure);

/*
 * What a process does that is thrown away afterwards: join the plan's namespaces and clone a child of its own parent.
 * `made`: those of the namespaces to create that it is in already. Returns the pid, or -1.
 */
pid_t clone_stage(const struct plan *plan, uint32_t made, const int stdio[3], int link, enum go go, int into,
                  struct failure *failure);
