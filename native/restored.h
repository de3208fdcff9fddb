#pragma once

#include "monitor.h"

/*
 * What was pid 1 of the container until now is CRIU, which has made `pid`, a child of ours, out of a checkpoint: that is
 * pid 1 from here on. Takes the master of its terminal, which becomes -1; NULL: it has none. Returns 0 or an errno: ECHILD for
 * a process that is none of ours.
 */
int restored_adopt(struct monitor *monitor, pid_t pid, int *master);

/* The same of a process that no monitor has (detach.c). CRIU is left to be waited for. */
int restored_take(struct process *process, pid_t pid);
