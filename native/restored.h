#pragma once

#include "monitor.h"

/*
 * What was pid 1 of the container until now is CRIU, which has made `pid`, a child of ours, out of a checkpoint: that is
 * pid 1 from here on. Takes the descriptor of a stream that comes with it (enum restored), which becomes -1. Returns 0 or an
 * errno: ECHILD for a process that is none of ours.
 */
int restored_adopt(struct monitor *monitor, pid_t pid, uint32_t what, int *fds, size_t count);

/* The same of a process that no monitor has (detach.c). CRIU is left to be waited for. */
int restored_take(struct process *process, pid_t pid);
