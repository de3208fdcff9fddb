#pragma once

#include "common.h"

/* detach.c: `arguments` are FIFO, CONSOLE and PASSED, `-` for none. */
_Noreturn void detach_main(char *const *arguments);

/* relay.c: until the process of the pidfd has ended, or the command at the other end of that stream. */
void relay(int master, int pidfd, int command);
