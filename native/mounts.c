#include "mounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "common.h"

int set_mount_option(int context, const char *option) {
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
  return fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0);
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
  if (*source && fsconfig(context, FSCONFIG_SET_STRING, "source", source, 0) < 0)
    return tell(context, "fsconfig source", said, room);
  for (; *options; options++)
    if (set_mount_option(context, *options) < 0) {
      char call[128];
      snprintf(call, sizeof(call), "fsconfig %.100s", *options);
      return tell(context, call, said, room);
    }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return tell(context, "fsconfig create", said, room);
  int made = fsmount(context, FSMOUNT_CLOEXEC, attributes);
  return made < 0 ? tell(context, "fsmount", said, room) : made;
}
