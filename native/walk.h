/* Trees of files that somebody else may change meanwhile: each is reached through the descriptor of its directory. */
#pragma once

#include <sys/stat.h>

#include "plan.h"
#include "protocol.h"

/* What is done to each; `name` is "" for the top, which `parent` itself is then. Below 0: enough. */
typedef int visitor(int parent, const char *name, const struct stat *status, const void *context, struct failure *failure);

/* Visit what `name` in `parent` is and all below it, but nothing that is mounted there, and through no symbolic link. */
int walk_tree(int parent, const char *name, visitor *visit, const void *context, struct failure *failure);

/*
 * Have SELinux call all of a tree so. None of the `kept` paths (text) of the host may be its top, by whatever name that was
 * reached. Where the file system keeps no labels, nothing is done.
 */
int relabel_tree(int top, const char *label, struct list kept, struct failure *failure);
