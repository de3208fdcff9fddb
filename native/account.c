/* The user whom a container is made for, in its own databases of users and groups (passwd(5), group(5)). */
#include "child.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "passwd.h"
#include "resolve.h"

static bool is(struct field field, const char *text) {
  return field.size == strlen(text) && memcmp(field.text, text, field.size) == 0;
}

static bool has_user(const char *data, size_t size, const char *name, uint32_t uid) {
  struct passwd_entry entry;
  for (const char *at = data; data && next_passwd(&at, data + size, &entry);)
    if (entry.uid == uid || is(entry.name, name)) return true;
  return false;
}

static bool has_group(const char *data, size_t size, const char *name, uint32_t gid) {
  struct group_entry entry;
  for (const char *at = data; data && next_group(&at, data + size, &entry);)
    if (entry.gid == gid || is(entry.name, name)) return true;
  return false;
}

/* At the end of a file that is there, on a line of its own. */
static int append(struct child *child, const char *path, bool newline, const char *line) {
  autoclose int fd = resolve(child->root, path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(&child->failure, "openat2");
  if (newline && write_all(fd, "\n", 1) < 0) return fail(&child->failure, "write");
  return write_all(fd, line, strlen(line)) < 0 ? fail(&child->failure, "write") : 0;
}

static int add_entry(struct child *child, const char *path, const char *name, uint32_t id,
                     bool (*has)(const char *, size_t, const char *, uint32_t), const char *line) {
  char *data;
  size_t size;
  if (read_database(child->root, path, &data, &size, &child->failure) < 0) return -1;
  bool known = has(data, size, name, id), newline = size > 0 && data[size - 1] != '\n';
  if (data) munmap(data, size);
  return known ? 0 : append(child, path, newline, line);
}

int op_account(struct child *child, struct reader *fields) {
  const char *user = read_text(fields);
  uint32_t uid = read_u32(fields);
  const char *passwd = read_text(fields), *group = read_text(fields);
  uint32_t gid = read_u32(fields);
  const char *line = read_text(fields);
  if (add_entry(child, "etc/passwd", user, uid, has_user, passwd) < 0) return -1;
  return add_entry(child, "etc/group", group, gid, has_group, line);
}
