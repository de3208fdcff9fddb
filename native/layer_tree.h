/*
 * Trees of layers, for the driver that has no overlay: laying one over another as plain copies, and telling two apart. Both
 * trees belong to hostile images and containers, but nobody else is at work in them: names are of one component, relative to
 * open directories, and no link is followed.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "pack_links.h"

struct layer_copy {
  struct links links; /* files with several names, of the tree that is being copied */
  int top;            /* where these names are relative to */
  /* Lines of uid_map and gid_map (user_namespaces(7)) that say whose the copies are; NULL: those of the originals. */
  const char *uid_map, *gid_map;
  const char *failed_call;
};

/*
 * Lay the layer `from` over the tree `to`, both open for reading: what it has takes the place of what is there, its whiteouts
 * and opaque directories take away, and are not copied themselves.
 */
int layer_merge(struct layer_copy *copy, int from, int to);

/* Make in the empty directory `out` a layer of how `root` differs from `base`. */
int layer_changes(struct layer_copy *copy, int base, int root, int out);

/* layer_copy.c: one entry with all that it has, at a place where nothing is. Of a directory only itself. `path`: of `to`. */
int copy_layer_entry(struct layer_copy *copy, int from, int to, const char *name, const struct stat *status,
                     const char *path);
/* Owner, mode, attributes and times of a directory, when all is in it. */
int copy_layer_directory(struct layer_copy *copy, int from, int to, const struct stat *status);

bool is_layer_whiteout(const struct stat *status);
/* Has an attribute of overlay's own to that effect. */
bool is_layer_opaque(int directory);
int open_layer_directory(int parent, const char *name);
