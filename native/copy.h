/*
 * Copies into and out of a tree that somebody hostile may be changing at the same time: a container's, or a directory of
 * the host. By a process of its own, which enters the tree and can't leave it, and executes nothing but this program.
 */
#pragma once

#include <stdint.h>

enum copy_from {
  COPY_DIRECTORY = 0, /* the tree is a directory */
  COPY_NAMESPACE = 1, /* it is the root of a mount namespace */
};

enum copy_way {
  COPY_IN = 0, /* operations of unpack.h come in, its status goes out */
  COPY_OUT = 1, /* one start operation comes in, what is there goes out: pack.h */
  COPY_ASK = 2, /* a start operation and then paths come in, what is at each goes out */
};

/* `users`: the user namespace whose ids files are to have; -1: this one. Returns the exit code. */
int copy_main(int tree, int in, int out, uint32_t from, uint32_t way, int users);
