/* The listener of a seccomp filter, on its way to who decides (runtime-spec, "The Container Process State"). */
#pragma once

#include "plan.h"
#include "protocol.h"

/* A stream to the socket at a path, however long that is. */
int connect_by_path(const char *path, struct failure *failure);

/* Send it to the plan's socket, with what is known of the process `pid`. */
int listener_pass_on(const struct listener_plan *plan, int listener, pid_t pid, struct failure *failure);
