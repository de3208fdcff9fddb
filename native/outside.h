#pragma once

#include "child.h"

void child_begin(struct child *child, const struct plan *plan);

/* In a stage: do the plan's operations before OP_ENTER_USER. On failure child->failure tells. */
int outside_prepare(struct child *child, const struct plan *plan, const int stdio[3]);

/* The lowest descriptor above `last` that the new process has of its stage; ~0: there is none. */
unsigned outside_next(const struct child *child, unsigned last);

/* Pipes belong to the container's root. */
int outside_give_streams(const struct plan *plan, const int stdio[3]);

/* The id of the host that an id of the container is, by the lines of uid_map or gid_map; -1: it has none. */
uint32_t id_outside(const char *map, uint32_t id);
