#pragma once

#include "protocol.h"

/* Leave the state where a host finds it that comes when all is over. What can't be written is forgotten. */
void health_file_write(const char *path, const struct health_state *state);
