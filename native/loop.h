#pragma once

#include <stdbool.h>

/*
 * Put a file behind a loop device (loop(4)) that goes when its last user does. `device` becomes its path. Returns a
 * descriptor that keeps it until it is mounted; -1.
 */
int open_loop(const char *file, bool read_only, char device[32]);
