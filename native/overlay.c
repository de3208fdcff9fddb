/* The overlay of the root. Layers may be many and their paths long, and each kernel has its own limits on both. */
#include "child.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "mounts.h"

static int set_path(int context, const char *key, const char *path, struct failure *failure) {
  /* Each is looked up at once, so that hundreds of layers need no more than one descriptor. */
  autorelease struct held_paths held = {0};
  if (set_mount_value(context, key, path, &held) == 0) return 0;
  char call[32];
  snprintf(call, sizeof(call), "fsconfig %s", key);
  return fail(failure, call);
}

void allow_volatile(const char *work) {
  char path[PATH_MAX];
  int size = snprintf(path, sizeof(path), "%s/work/incompat", work);
  if (size < 0 || (size_t)size >= sizeof(path)) return;
  autoclose int directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (directory < 0) return;
  /* What stands there as well, the kernel made to tell of it in its log. */
  unlinkat(directory, "volatile/dirty", 0);
  unlinkat(directory, "volatile", AT_REMOVEDIR);
}

int make_overlay(const struct list *lower, const char *upper, const char *work, const struct list *options,
                 struct failure *failure) {
  autoclose int context = fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0) return fail(failure, "fsopen");
  if (fsconfig(context, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0) return fail(failure, "fsconfig source");
  struct reader items = lower->items;
  for (uint32_t i = 0; i < lower->count; i++)
    if (set_path(context, "lowerdir+", read_text(&items), failure) < 0) return -1;
  if (upper && set_path(context, "upperdir", upper, failure) < 0) return -1;
  if (work && set_path(context, "workdir", work, failure) < 0) return -1;
  items = options->items;
  for (uint32_t i = 0; i < options->count; i++) {
    char key[64];
    const char *option = read_text(&items), *equals = strchr(option, '=');
    int size = snprintf(key, sizeof(key), "%.*s", equals ? (int)(equals - option) : (int)sizeof(key) - 1, option);
    if (size < 0 || (size_t)size >= sizeof(key)) errno = EINVAL;
    else if (fsconfig(context, equals ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, equals ? equals + 1 : NULL, 0) == 0)
      continue;
    return fail(failure, "fsconfig");
  }
  if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return fail(failure, "fsconfig create");
  int made = fsmount(context, FSMOUNT_CLOEXEC, 0);
  return made < 0 ? fail(failure, "fsmount") : made;
}

/* Append to the option string; mount(2) takes one page of it. */
static bool add(char *data, size_t room, size_t *length, const char *before, const char *text) {
  int size = snprintf(data + *length, room - *length, "%s%s", before, text);
  if (size < 0 || (size_t)size >= room - *length) return false;
  *length += (size_t)size;
  return true;
}

int mount_overlay_old(const struct list *lower, const char *upper, const char *work, const struct list *options,
                      const char *at, struct failure *failure) {
  char data[4096], name[16];
  size_t length = 0;
  bool fits = true;
  int *layers = calloc(lower->count, sizeof(int));
  if (!layers) return fail(failure, "calloc");
  int result = -1;
  uint32_t opened = 0;
  /*
   * One page of options, and a layer's path is 80 bytes or more. In /proc/self/fd each layer that we have open has a
   * name of two or three digits, so hundreds fit; the kernel follows them as it mounts.
   */
  struct reader items = lower->items;
  for (; opened < lower->count; opened++) {
    layers[opened] = open(read_text(&items), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (layers[opened] < 0) {
      fail(failure, "open");
      goto done;
    }
    snprintf(name, sizeof(name), "%d", layers[opened]);
    fits = fits && add(data, sizeof(data), &length, opened == 0 ? "lowerdir=" : ":", name);
  }
  if (upper) fits = fits && add(data, sizeof(data), &length, ",upperdir=", upper);
  if (work) fits = fits && add(data, sizeof(data), &length, ",workdir=", work);
  items = options->items;
  for (uint32_t i = 0; i < options->count; i++) {
    /* The categories of a label have commas among them. */
    const char *option = read_text(&items), *label = strncmp(option, "context=", 8) == 0 ? option + 8 : NULL;
    fits = fits && add(data, sizeof(data), &length, label ? ",context=\"" : ",", label ? label : option);
    fits = fits && (!label || add(data, sizeof(data), &length, "\"", ""));
  }
  if (!fits) {
    errno = E2BIG;
    fail(failure, "mount");
    goto done;
  }
  if (chdir("/proc/self/fd") < 0) {
    fail(failure, "chdir /proc/self/fd");
    goto done;
  }
  result = mount("overlay", at, "overlay", 0, data);
  if (result < 0) fail(failure, "mount");
  if (chdir("/") < 0 && result == 0) result = fail(failure, "chdir");
done:
  while (opened > 0) close(layers[--opened]);
  free(layers);
  return result;
}
