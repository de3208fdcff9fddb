#pragma once

#include <stdbool.h>

/*
 * Put a file behind a loop device (loop(4)) that goes when its last user does. `device` becomes its path. Returns a
 * descriptor that keeps it until it is mounted; -1. Whoever has it already is waited for a while: EBUSY.
 */
int open_loop(const char *file, bool read_only, char device[32]);
