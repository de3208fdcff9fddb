/* File systems of the kernel's, mounted nowhere yet (fsopen(2)). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Give a file system context one option, `key` or `key=value`. */
int set_mount_option(int context, const char *option);

/*
 * A descriptor of a new mount; -1 with errno set, and the call that failed with what the kernel said of it in `said`.
 * `options` ends with NULL.
 */
int make_file_system(const char *type, const char *source, uint32_t attributes, char *const *options, char *said,
                     size_t room);
