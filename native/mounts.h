/* File systems of the kernel's, mounted nowhere yet (fsopen(2)). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Paths that a file system context knows by our descriptors of them, until it is made. */
struct held_paths {
  size_t count;
  int fds[4];
};

void release_paths(struct held_paths *held);
#define autorelease __attribute__((cleanup(release_paths)))

/* Give a file system context a value, or one option, `key` or `key=value`. */
int set_mount_value(int context, const char *key, const char *value, struct held_paths *held);
int set_mount_option(int context, const char *option, struct held_paths *held);

/*
 * A descriptor of a new mount; -1 with errno set, and the call that failed with what the kernel said of it in `said`.
 * `options` ends with NULL.
 */
int make_file_system(const char *type, const char *source, uint32_t attributes, char *const *options, char *said,
                     size_t room);
