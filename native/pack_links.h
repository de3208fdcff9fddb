/* Files with several names, by what the kernel knows them as; for pack.c. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct links {
  struct link *slots;
  size_t room, used;
};

/*
 * The path that a file was first seen at. NULL: it is seen now, and `path` is kept; or, with errno, there is no memory.
 */
const char *links_seen(struct links *links, dev_t device, ino_t inode, const char *path);

void links_free(struct links *links);
