#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>

#include "common.h"

enum { TRIES = 32 };

int open_loop(const char *file, bool read_only, char device[32]) {
  int access = read_only ? O_RDONLY : O_RDWR;
  autoclose int backing = open(file, access | O_CLOEXEC);
  if (backing < 0) return -1;
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
