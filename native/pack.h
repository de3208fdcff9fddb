/*
 * The packer: tells what is in a tree, in the way that the unpacker is told it (unpack.h), so that a tree can go from
 * one to the other. Of files the number of chunks is not known at first: `chunks` is 0, and they end with one of length 0.
 * A hard link to what was told before is a UNPACK_HARDLINK. Last comes UNPACK_END, or UNPACK_FAILED.
 */
#pragma once

#include <stdbool.h>

/* What `major` of the start operation asks for, beside its `path`: where to begin, as a program of the tree sees it. */
enum pack_flags {
  PACK_WITHOUT_MOUNTS = 1, /* leave out what is mounted in the tree, and tell what it is mounted over */
  PACK_FOLLOW = 2,         /* when `path` is a symbolic link, tell what it leads to */
  PACK_NAMES = 4,          /* no contents */
};

/*
 * The working directory becomes the root of this process. `descriptors`: an open /proc/self/fd. `asked`: only the paths
 * that follow the start operation are looked at, one `path` of a head each. Returns the exit code.
 */
int pack_main(int in, int out, int descriptors, bool asked);
