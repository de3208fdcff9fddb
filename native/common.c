#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

int sys_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
  /*
   * EAGAIN: a rename or mount elsewhere raced with a ".." of this lookup (openat2(2)); it says nothing about us. Somebody
   * who renames without a pause may win many times in a row, so at last the tries are spread over a second.
   */
  enum { AT_ONCE = 128, TRIES = 10000 };
  for (int tries = 0;; tries++) {
    int fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    if (fd >= 0 || errno != EAGAIN || tries == TRIES) return fd;
    if (tries >= AT_ONCE) nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
  }
}

pid_t sys_clone3(struct clone_args *arguments) {
  return (pid_t)syscall(SYS_clone3, arguments, sizeof(*arguments));
}

int sys_pidfd_open(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

int sys_pidfd_send_signal(int pidfd, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
}

int sys_pivot_root(const char *new_root, const char *put_old) {
  return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int sys_close_range(unsigned first, unsigned last, unsigned flags) {
  return (int)syscall(SYS_close_range, first, last, flags);
}

void signals_default(void) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
}

int write_all(int fd, const void *data, size_t size) {
  const uint8_t *at = data;
  while (size > 0) {
    ssize_t written = write(fd, at, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    at += written;
    size -= (size_t)written;
  }
  return 0;
}

int write_file_at(int directory, const char *path, const void *data, size_t size) {
  autoclose int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, data, size);
  if (written < 0) return -1;
  if ((size_t)written == size) return 0;
  errno = EIO;
  return -1;
}

ssize_t read_file_at(int directory, const char *path, char *into, size_t size) {
  autoclose int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t length = 0;
  while (length < size - 1) {
    ssize_t got = read(fd, into + length, size - 1 - length);
    if (got < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    if (got == 0) break;
    length += (size_t)got;
  }
  into[length] = '\0';
  return (ssize_t)length;
}

int read_exactly(int fd, void *into, size_t size) {
  uint8_t *at = into;
  while (size > 0) {
    ssize_t got = read(fd, at, size);
    if (got == 0) return 0;
    if (got < 0) {
      if (errno == EINTR) continue;
      return -1;
    }
    at += got;
    size -= (size_t)got;
  }
  return 1;
}
