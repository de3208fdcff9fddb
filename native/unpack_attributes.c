/* Extended attributes, times and owners of entries. */
#include <string.h>
#include <sys/xattr.h>

#include "unpacker.h"

int set_by_descriptor(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target) {
  (void)u;
  return fsetxattr(*(const int *)target, name, value, size, 0);
}

/* For what can't be opened. There is no lsetxattrat(2) before Linux 6.13, so by the working directory. */
int set_by_name(const struct unpacker *u, const char *name, const void *value, size_t size, const void *target) {
  if (fchdir(u->parent) < 0) return -1;
  int result = lsetxattr(target, name, value, size, 0);
  int error = errno;
  if (fchdir(u->root) < 0) return -1;
  errno = error;
  return result;
}

int set_xattrs(struct unpacker *u, const unsigned char *at, size_t left, set_xattr *set, const void *target) {
  while (left > 0) {
    uint16_t name_length;
    uint32_t size;
    char name[256];
    if (left < 6) return fail_with(u, "setxattr", EBADMSG);
    memcpy(&name_length, at, 2);
    memcpy(&size, at + 2, 4);
    if (name_length >= sizeof name || name_length > left - 6 || size > left - 6 - name_length)
      return fail_with(u, "setxattr", EBADMSG);
    memcpy(name, at + 6, name_length);
    name[name_length] = '\0';
    if (set(u, name, at + 6 + name_length, size, target) < 0) {
      /* User attributes stand on files and directories alone, and not on every file system: nothing depends on them. */
      bool user = strncmp(name, "user.", 5) == 0;
      if (!user || (errno != EPERM && errno != ENOTSUP)) return fail(u, "setxattr");
    }
    at += 6 + name_length + size;
    left -= 6U + name_length + size;
  }
  return 0;
}

void times_of(const struct unpack_head *head, struct timespec times[2]) {
  times[0] = (struct timespec){.tv_sec = head->seconds, .tv_nsec = head->nanoseconds};
  times[1] = times[0];
}

bool owner_differs(const struct unpacker *u, const struct unpack_head *head) {
  return head->uid != 0 || head->gid != 0 || u->parent_setgid;
}
