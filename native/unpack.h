/*
 * The unpacker: performs the operations of a stream in one directory, which it can't leave. lib/storage/unpack-operations.ts
 * writes what is read here; a spec checks that both agree.
 */
#pragma once

#include <stdint.h>

enum unpack_operation {
  UNPACK_START = 1,
  UNPACK_DIRECTORY = 2,
  UNPACK_FILE = 3,
  UNPACK_SYMLINK = 4,
  UNPACK_HARDLINK = 5,
  UNPACK_CHARACTER = 6,
  UNPACK_BLOCK = 7,
  UNPACK_FIFO = 8,
  UNPACK_WHITEOUT = 9,
  UNPACK_OPAQUE = 10,
  UNPACK_TOUCH = 11,
  UNPACK_REMOVE = 12,
  UNPACK_END = 13,
  UNPACK_FAILED = 14, /* from a packer, in the place of the end: mode errno, path, link the system call */
  UNPACK_MISSING = 15, /* from a packer that was asked for single paths: there is nothing at path */
  UNPACK_SOCKET = 16, /* from a packer: a tar has no word for it */
  /*
   * Lay the layer that is the directory `link` over the directory `path`. Attributes, where there are any, are lines of uid_map, NUL,
   * and lines of gid_map: an id of the layer, the id that its copy has, how many follow.
   */
  UNPACK_MERGE = 17,
  UNPACK_CHANGES = 18, /* make in `path` a layer of how `link` differs from the directory that the attributes name */
};

#define UNPACK_VERSION 1

/* What `major` of a start operation asks for. */
enum unpack_flags {
  /* The tree to work in is not the directory, but what `path` is in it, as a program sees it whose root that is. */
  UNPACK_AT_PATH = 1,
  /* A symbolic link in the tree means what it means to such a program, absolute or not; it can't lead out of it. */
  UNPACK_FOLLOW_LINKS = 2,
};

/* The fixed head of every operation, little-endian; the path, the link and the extended attributes follow. */
struct unpack_head {
  uint32_t operation;
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
  uint64_t size;
  int64_t seconds;
  uint32_t nanoseconds;
  uint32_t major;
  uint32_t minor;
  uint32_t chunks;
  uint32_t xattrs_length;
  uint16_t path_length;
  uint16_t link_length;
};
_Static_assert(sizeof(struct unpack_head) == 56, "the head is as lib/storage/unpack-operations.ts writes it");

/*
 * Perform the operations that come on `stream` in `directory`, and write the result to `status`: "ok" NUL, or "failed"
 * NUL operation NUL system call NUL errno NUL path NUL. The process is confined to the directory from here on: it must
 * be one of its own. Returns its exit code.
 */
int unpack_main(int stream, int status, const char *directory);

/*
 * Remove `name` in the directory `parent`, and all below it, following no symbolic link, whatever its depth. 0, or -1
 * with errno. What is gone already is no error.
 */
int remove_tree(int parent, const char *name);
