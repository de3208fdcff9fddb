/*
 * Paths inside a root that a hostile image (or a container that runs already) has filled. Every lookup is done by the
 * kernel with openat2(RESOLVE_IN_ROOT): symlinks and ".." stay inside, in one system call that can't be raced. What is
 * found is used through its descriptor and never by its name again.
 */
#pragma once

#include "common.h"

enum made { MAKE_NOTHING, MAKE_DIRECTORY, MAKE_FILE };

/* Open a path below `root`; `flags` as of open(2). */
int resolve(int root, const char *path, uint64_t flags);

/* Open (O_PATH) a path below `root`, made with its missing parents, 0755 root:root (a file: 0644), where it is missing. */
int resolve_or_make(int root, const char *path, enum made kind);

/* Open the directory that holds the last component of `path`, made where missing, and point `name` at that component. */
int resolve_parent(int root, const char *path, const char **name);

/* A procfs (checked to be one) below `root` at /proc, as a directory: 0 or more; -1, errno 0 when it is something else. */
int open_procfs(int root);

/* Open a path of a procfs: no symlinks, no mounts on the way, so that it is the kernel's file (CVE-2025-52881). */
int open_in_procfs(int procfs, const char *path, uint64_t flags);
