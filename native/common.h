/*
 * What every file of the helper shares: ownership made visible by cleanup attributes, and the few system calls that
 * glibc has no function for. Errors travel as -1 with errno set, until a `struct failure` (protocol.h) names the call.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#include <linux/openat2.h>
#include <linux/sched.h>

/* A descriptor that is closed when its variable goes out of scope. errno survives, so that `return -1` keeps its cause. */
static inline void close_fd(int *fd) {
  if (*fd < 0) return;
  int saved = errno;
  close(*fd);
  errno = saved;
  *fd = -1;
}
#define autoclose __attribute__((cleanup(close_fd)))

/* Hand the descriptor to the caller: the variable no longer owns it. */
static inline int steal_fd(int *fd) {
  int taken = *fd;
  *fd = -1;
  return taken;
}

#define array_length(array) (sizeof(array) / sizeof((array)[0]))

int sys_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
pid_t sys_clone3(struct clone_args *arguments);
int sys_pidfd_open(pid_t pid);
int sys_pidfd_send_signal(int pidfd, int signal);
int sys_pivot_root(const char *new_root, const char *put_old);
int sys_close_range(unsigned first, unsigned last, unsigned flags);

/* Whoever started us may block or ignore any signal; none is, from here on. */
void signals_default(void);

/* Write all of it to a descriptor that may take less at a time. */
int write_all(int fd, const void *data, size_t size);

/* Open, write in one write(2), close: the way of cgroupfs and procfs, where a write is one command. */
int write_file_at(int directory, const char *path, const void *data, size_t size);

/* Read at most `size - 1` bytes of a small file and end them with NUL. Returns the length, or -1. */
ssize_t read_file_at(int directory, const char *path, char *into, size_t size);

/* Read exactly `size` bytes: 1; 0 at an early end of file; -1 on failure. */
int read_exactly(int fd, void *into, size_t size);
