/* What the files of the unpacker share; unpack.h says what it does. */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "common.h"
#include "unpack.h"

/* Fits the second-level cache; no operation without its contents is longer than half of it. */
#define BUFFER_SIZE (512 * 1024)
#define LONGEST_XATTRS (192 * 1024)
#define MODE_BITS 07777

struct unpacker {
  int stream;
  int root;
  unsigned char *buffer;
  size_t start; /* what is read and not yet used: from start ... */
  size_t end;   /* ... to end */

  /* The directory of the entry before: the next one mostly lies in it too. */
  int parent;
  char parent_path[PATH_MAX];
  bool parent_setgid;

  uint64_t lookups; /* RESOLVE_BENEATH, or RESOLVE_IN_ROOT where the start operation asks for it */
  unsigned char opaque[512]; /* the attributes that make a directory opaque, from the start operation */
  size_t opaque_length;

  const char *failed_call; /* set by whoever returns -1 */
};

struct entry {
  struct unpack_head head;
  char path[PATH_MAX];
  char link[PATH_MAX];
  const char *name; /* last component of path */
  unsigned char xattrs[LONGEST_XATTRS];
};

static inline int fail(struct unpacker *u, const char *call) {
  u->failed_call = call;
  return -1;
}

static inline int fail_with(struct unpacker *u, const char *call, int error) {
  errno = error;
  return fail(u, call);
}

/* unpack_read.c: have `size` bytes in one piece at start. */
int need(struct unpacker *u, size_t size);
int take(struct unpacker *u, void *into, size_t size);
int take_entry(struct unpacker *u, struct entry *entry);

/* unpack_place.c: a directory of the tree, by openat2(2) from its root. */
int open_beneath(struct unpacker *u, const char *path, uint64_t further);
/* The directory in which the last component of `path` stands; made when missing. -1, or a descriptor kept by `u`. */
int enter_parent(struct unpacker *u, char *path, const char **name);
void forget_parent(struct unpacker *u);
/* Make room at the entry's place, whatever stands there. */
int clear_place(struct unpacker *u, const char *name);

/* unpack_attributes.c */
typedef int set_xattr(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target);
set_xattr set_by_descriptor, set_by_name;
int set_xattrs(struct unpacker *u, const unsigned char *at, size_t left, set_xattr *set, const void *target);
void times_of(const struct unpack_head *head, struct timespec times[2]);
/* A new file is root's already, unless its directory hands its group down. */
bool owner_differs(const struct unpacker *u, const struct unpack_head *head);

/* unpack_entries.c: one file of a layer each */
int unpack_directory(struct unpacker *u, struct entry *entry);
int unpack_file(struct unpacker *u, struct entry *entry);
int unpack_special(struct unpacker *u, struct entry *entry);
int unpack_hardlink(struct unpacker *u, struct entry *entry);

/* unpack_whiteout.c: what hides the layers below */
int unpack_whiteout(struct unpacker *u, struct entry *entry);
int unpack_opaque(struct unpacker *u, struct entry *entry);

/* unpack_trees.c: layers as a whole, for the driver that has no overlay */
int unpack_merge(struct unpacker *u, struct entry *entry);
int unpack_changes(struct unpacker *u, struct entry *entry);
