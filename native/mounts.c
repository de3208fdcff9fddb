#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common.h"

/* fsconfig(2) takes strings of at most 255 bytes (fs/fsopen.c); a longer path goes through an open descriptor of it. */
enum { FSCONFIG_STRING_MAXIMUM = 255 };

void release_paths(struct held_paths *held) {
  while (held->count > 0) close(held->fds[--held->count]);
}

int set_mount_value(int context, const char *key, const char *value, struct held_paths *held) {
  char by_descriptor[64];
  if (*value == '/' && strlen(value) > FSCONFIG_STRING_MAXIMUM && held->count < array_length(held->fds)) {
    int fd = open(value, O_PATH | O_CLOEXEC);
    if (fd < 0) return -1;
    held->fds[held->count++] = fd;
    snprintf(by_descriptor, sizeof(by_descriptor), "/proc/self/fd/%d", fd);
    value = by_descriptor;
  }
  return fsconfig(context, FSCONFIG_SET_STRING, key, value, 0);
}

int set_mount_option(int context, const char *option, struct held_paths *held) {
  const char *equals = strchr(option, '=');
  if (!equals) return fsconfig(context, FSCONFIG_SET_FLAG, option, NULL, 0);
  char key[64];
  size_t size = (size_t)(equals - option);
  if (size >= sizeof(key)) {
    errno = EINVAL;
    return -1;
  }
  memcpy(key, option, size);
  key[size] = '\0';
  return set_mount_value(context, key, equals + 1, held);
}

/* The kernel's own words about a context: messages that begin with a letter and a blank, one a read. */
static int tell(int context, const char *call, char *said, size_t room) {
  int error = errno;
  size_t length = (size_t)snprintf(said, room, "%s", call);
  char line[512];
  for (ssize_t got; context >= 0 && length < room && (got = read(context, line, sizeof(line) - 1)) > 0;) {
    line[got] = '\0';
    const char *text = got > 2 && line[1] == ' ' ? line + 2 : line;
    length += (size_t)snprintf(said + length, room - length, ": %.*s", (int)strcspn(text, "\n"), text);
  }
  errno = error;
  return -1;
}

int make_file_system(const char *type, const char *source, uint32_t attributes, char *const *options, char *said,
                     size_t room) {
  autoclose int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return tell(-1, "fsopen", said, room);
  autorelease struct held_paths held = {0};
  if (*source && set_mount_value(context, "source", source, &held) < 0)
    return tell(context, "fsconfig source", said, room);
  for (; *options; options++)
    if (set_mount_option(context, *options, &held) < 0) {
      char call[128];
      snprintf(call, sizeof(call), "fsconfig %.100s", *options);
      return tell(context, call, said, room);
    }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return tell(context, "fsconfig create", said, room);
  int made = fsmount(context, FSMOUNT_CLOEXEC, attributes);
  return made < 0 ? tell(context, "fsmount", said, room) : made;
}
