#include "keep_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "keep_program.h"
#include "loop.h"
#include "mounts.h"

enum { SAID_MAXIMUM = 4096, DEVICE_MAXIMUM = 192 };

/* Mount it nowhere but here. Returns -1 with errno set, and the call that failed in `said`. */
static int mount_device(const char *target, const char *type, const char *source, uint32_t attributes, char *const *options,
                        char said[SAID_MAXIMUM]) {
  autoclose int made = make_file_system(type, source, attributes, options, said, SAID_MAXIMUM);
  if (made < 0) return -1;
  snprintf(said, SAID_MAXIMUM, "move_mount");
  return move_mount(made, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

void mount_kernel(const char *target, char *const *arguments) {
  const char *type = arguments[0], *source = arguments[1];
  uint32_t attributes = (uint32_t)strtoul(arguments[2], NULL, 10);
  char device[32], said[SAID_MAXIMUM];
  struct stat status;
  autoclose int loop = -1;
  bool file = *source == '/' && stat(source, &status) == 0 && S_ISREG(status.st_mode);
  if (file) {
    loop = open_loop(source, attributes & MOUNT_ATTR_RDONLY, device);
    if (loop < 0) give_up("set up a loop device");
  }
  if (mount_device(target, type, file ? device : source, attributes, arguments + 3, said) < 0) give_up(said);
}

/* To the given words a device is the last one. Returns -1 when it could not be made, which is answered. */
static int make_on(const char *device, char *const *words) {
  size_t count = 0;
  while (words[count]) count++;
  const char **command = calloc(count + 2, sizeof(char *));
  if (!command) give_up("calloc");
  memcpy(command, words, count * sizeof(char *));
  command[count] = device;
  int said, status = finish_program(command, NULL, &said);
  free(command);
  /* Its exit codes are not those of cryptsetup. */
  if (status != 0) answer_exit(W_EXITCODE(1, 0), said);
  close(said);
  return status == 0 ? 0 : -1;
}

static int mount_mapping(const char *target, const char *device, char *const *maker) {
  char said[SAID_MAXIMUM];
  char *const none[] = {NULL};
  if (*maker && make_on(device, maker) < 0) return -1;
  if (mount_device(target, "ext4", device, 0, none, said) == 0) return 0;
  answer_failure(FAILED, (uint32_t)errno, said);
  return -1;
}

void mount_luks(const char *target, char *const *arguments) {
  const char *program = arguments[0], *mapping = arguments[1];
  static struct secret secret;
  receive_secret(&secret);
  char loop_device[32], device[DEVICE_MAXIMUM];
  autoclose int loop = open_loop(arguments[2], false, loop_device);
  if (loop < 0) give_up("set up a loop device");
  const char *const open_command[] = {program, "open", "--type", "luks2", "--key-file=-", "--", loop_device, mapping, NULL};
  int said, status = finish_program(open_command, &secret, &said);
  if (status != 0) {
    answer_exit(status, said);
    _exit(1);
  }
  close(said);
  snprintf(device, sizeof(device), "/dev/mapper/%s", mapping);
  int mounted = mount_mapping(target, device, arguments + 3);
  /*
   * From here on the kernel removes the mapping with its last user, and with that the loop device: whatever is killed, both
   * are gone with the last mount. Where nothing is mounted they are gone now.
   */
  const char *const close_command[] = {program, "close", "--deferred", "--", mapping, NULL};
  status = finish_program(close_command, NULL, &said);
  if (mounted < 0) _exit(1);
  if (status != 0) {
    answer_exit(W_EXITCODE(1, 0), said);
    _exit(1);
  }
  close(said);
}
