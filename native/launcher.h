#pragma once

#include <stddef.h>

/* Serve requests from descriptor 3 until it ends; warm slots wait in these v1 cgroups. Returns the exit status. */
int launcher_main(char *const *parents, size_t parent_count);
