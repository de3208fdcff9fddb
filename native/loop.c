#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "common.h"

enum { TRIES = 32, PATIENCE_MS = 10000, PAUSE_MS = 10 };

/*
 * A file system that is mounted twice by way of two devices is destroyed, and after the last user of a device it takes a
 * moment until it is gone. The loop device has this very description of the file, and so the lock, until then. It is none of
 * flock(2), which cryptsetup(8) takes while it reads a header, whoever uses the rest.
 */
static int lock_backing(int backing, bool read_only) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
  struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
  for (int waited = 0; fcntl(backing, F_OFD_SETLK, &lock) < 0; waited += PAUSE_MS) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return -1;
    if (waited < PATIENCE_MS) nanosleep(&pause, NULL);
    else {
      errno = EBUSY;
      return -1;
    }
  }
  return 0;
}

int open_loop(const char *file, bool read_only, char device[32]) {
  int access = read_only ? O_RDONLY : O_RDWR;
  autoclose int backing = open(file, access | O_CLOEXEC);
  if (backing < 0 || lock_backing(backing, read_only) < 0) return -1;
  autoclose int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return -1;
  struct loop_config config = {
      .fd = (unsigned)backing,
      .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? (unsigned)LO_FLAGS_READ_ONLY : 0)},
  };
  for (int tries = 0; tries < TRIES; tries++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) return -1;
    snprintf(device, 32, "/dev/loop%d", number);
    autoclose int loop = open(device, access | O_CLOEXEC);
    if (loop < 0) return -1;
    if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) return steal_fd(&loop);
    /* Somebody else took it in between. */
    if (errno != EBUSY) return -1;
  }
  return -1;
}
