/*
 * Namespaces that are entered together, such as those that a container keeps when it is started again. Of the network: links, addresses, published ports and the
 * program of a user-mode network stay as they are, and nothing about them is done anew. Of what it joined: the path led to
 * a process of another container, whose number may be anybody's by then. And a user namespace of its own, as the network
 * belongs to it.
 */
#pragma once

#include "plan.h"
#include "protocol.h"

enum { NAMESPACES_MAXIMUM = 8 };

struct namespaces {
  size_t count;
  uint32_t types[NAMESPACES_MAXIMUM]; /* CLONE_NEW* */
  int fds[NAMESPACES_MAXIMUM];
};

/* Open those of the plan's pid 1, which can't end meanwhile. */
int namespaces_keep(struct namespaces *kept, const struct plan *plan, pid_t pid, struct failure *failure);

/* Enter all of them. `cgroup`: gets the descriptor of a cgroup namespace, which is not entered then; NULL: it is. */
int namespaces_enter(const struct namespaces *namespaces, int *cgroup, struct failure *failure);

/* Their types as one word. */
uint32_t namespaces_types(const struct namespaces *kept);
