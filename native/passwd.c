#include "passwd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "plan.h"
#include "resolve.h"

static bool same(struct field a, struct field b) {
  return a.size == b.size && memcmp(a.text, b.text, a.size) == 0;
}

bool parse_id(struct field text, uint32_t *id) {
  uint64_t value = 0;
  if (text.size == 0 || text.size > 10) return false;
  for (size_t i = 0; i < text.size; i++) {
    if (text.text[i] < '0' || text.text[i] > '9') return false;
    value = value * 10 + (uint64_t)(text.text[i] - '0');
  }
  if (value >= UINT32_MAX) return false;
  *id = (uint32_t)value;
  return true;
}

/* Split at ':' into at most `count` fields; the last takes no further ':'. False unless there are just so many. */
static bool split(struct field line, struct field *fields, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *colon = memchr(line.text, ':', line.size);
    bool last = i == count - 1;
    if (last != (colon == NULL)) return false;
    size_t size = colon ? (size_t)(colon - line.text) : line.size;
    fields[i] = (struct field){line.text, size};
    if (colon) line = (struct field){colon + 1, line.size - size - 1};
  }
  return true;
}

static bool next_line(const char **at, const char *end, struct field *line) {
  if (*at >= end) return false;
  const char *newline = memchr(*at, '\n', (size_t)(end - *at));
  const char *stop = newline ? newline : end;
  *line = (struct field){*at, (size_t)(stop - *at)};
  *at = newline ? newline + 1 : end;
  return true;
}

bool next_passwd(const char **at, const char *end, struct passwd_entry *entry) {
  struct field line, fields[7]; /* name, password, uid, gid, gecos, home, shell: passwd(5) */
  while (next_line(at, end, &line)) {
    if (!split(line, fields, array_length(fields)) || fields[0].size == 0) continue;
    if (!parse_id(fields[2], &entry->uid) || !parse_id(fields[3], &entry->gid)) continue;
    entry->name = fields[0];
    entry->home = fields[5];
    return true;
  }
  return false;
}

bool next_group(const char **at, const char *end, struct group_entry *entry) {
  struct field line, fields[4]; /* name, password, gid, members: group(5) */
  while (next_line(at, end, &line)) {
    if (!split(line, fields, array_length(fields)) || fields[0].size == 0) continue;
    if (!parse_id(fields[2], &entry->gid)) continue;
    entry->name = fields[0];
    entry->members = fields[3];
    return true;
  }
  return false;
}

bool has_member(struct field members, struct field name) {
  while (members.size > 0) {
    const char *comma = memchr(members.text, ',', members.size);
    size_t size = comma ? (size_t)(comma - members.text) : members.size;
    if (same((struct field){members.text, size}, name)) return true;
    size_t step = comma ? size + 1 : size;
    members = (struct field){members.text + step, members.size - step};
  }
  return false;
}

int read_database(int root, const char *path, char **data, size_t *size, struct failure *failure) {
  *data = NULL;
  *size = 0;
  /* Looked at before it is opened: opening a device can do something, and the device filter may not be in force yet. */
  autoclose int found = resolve(root, path, O_PATH);
  if (found < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : fail(failure, "openat2");
  struct stat status;
  if (fstat(found, &status) < 0) return fail(failure, "fstat");
  errno = 0;
  if (!S_ISREG(status.st_mode)) return fail_because(failure, REASON_NOT_A_FILE, path);
  /* Non-blocking: a FIFO that took its place meanwhile must not hold us up. */
  autoclose int fd = resolve(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return fail(failure, "openat2");
  if (fstat(fd, &status) < 0) return fail(failure, "fstat");
  errno = 0;
  if (!S_ISREG(status.st_mode)) return fail_because(failure, REASON_NOT_A_FILE, path);
  if (status.st_size > PASSWD_FILE_MAXIMUM) return fail_because(failure, REASON_TOO_LARGE, path);
  if (status.st_size == 0) return 0;
  size_t room = (size_t)status.st_size;
  char *bytes = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return fail(failure, "mmap");
  /* Read, not mapped: a mapped file that shrinks meanwhile would kill us with SIGBUS. */
  size_t length = 0;
  while (length < room) {
    ssize_t got = read(fd, bytes + length, room - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      munmap(bytes, room);
      return fail(failure, "read");
    }
    if (got == 0) break;
    length += (size_t)got;
  }
  *data = bytes;
  *size = length;
  return 0;
}

static void add_group(struct identity *identity, uint32_t gid) {
  for (uint32_t i = 0; i < identity->count; i++)
    if (identity->groups[i] == gid) return;
  if (identity->count < GROUPS_MAXIMUM) identity->groups[identity->count++] = gid;
}

static bool find_group(const char *data, size_t size, struct field wanted, uint32_t *gid) {
  struct group_entry entry;
  for (const char *at = data; next_group(&at, data + size, &entry);) {
    if (!same(entry.name, wanted)) continue;
    *gid = entry.gid;
    return true;
  }
  return parse_id(wanted, gid);
}

static void keep_home(struct identity *identity, struct field home) {
  if (home.size == 0 || home.size >= HOME_MAXIMUM || memchr(home.text, '\0', home.size)) return;
  memcpy(identity->home, home.text, home.size);
  identity->has_home = true;
}

int find_home(int root, struct identity *identity, struct failure *failure) {
  char *passwd;
  size_t size;
  if (read_database(root, "etc/passwd", &passwd, &size, failure) < 0) return -1;
  struct passwd_entry entry;
  for (const char *at = passwd; passwd && !identity->has_home && next_passwd(&at, passwd + size, &entry);)
    if (entry.uid == identity->uid) keep_home(identity, entry.home);
  if (!identity->has_home) keep_home(identity, (struct field){"/", 1});
  if (passwd) munmap(passwd, size);
  return 0;
}

int find_identity(int root, const char *user, const struct list *extra, struct identity *identity,
                  struct failure *failure) {
  *identity = (struct identity){0};
  char *passwd, *group;
  size_t passwd_size, group_size;
  if (read_database(root, "etc/passwd", &passwd, &passwd_size, failure) < 0) return -1;
  if (read_database(root, "etc/group", &group, &group_size, failure) < 0) return -1;

  const char *colon = strchr(user, ':');
  struct field who = {user, colon ? (size_t)(colon - user) : strlen(user)};
  struct field which = {colon ? colon + 1 : "", colon ? strlen(colon + 1) : 0};
  uint32_t number = 0;
  bool numeric = who.size == 0 || parse_id(who, &number);

  /* A name wins over a number, as useradd(8) may have made a user that is called "1000". */
  struct passwd_entry entry, found = {0};
  bool known = false, by_name = false;
  for (const char *at = passwd; passwd && !by_name && next_passwd(&at, passwd + passwd_size, &entry);) {
    by_name = who.size > 0 && same(entry.name, who);
    if (by_name || (!known && numeric && entry.uid == number)) {
      found = entry;
      known = true;
    }
  }
  errno = 0;
  if (!known && !numeric) return fail_because(failure, REASON_USER_NOT_FOUND, "");
  identity->uid = known ? found.uid : number;
  identity->gid = known ? found.gid : 0;
  if (known) keep_home(identity, found.home);
  if (which.size > 0) {
    if (!find_group(group, group_size, which, &identity->gid)) return fail_because(failure, REASON_GROUP_NOT_FOUND, "");
  } else if (known) {
    struct group_entry line;
    for (const char *at = group; group && next_group(&at, group + group_size, &line);)
      if (has_member(line.members, found.name)) add_group(identity, line.gid);
  }
  add_group(identity, identity->gid);

  struct reader reader = extra->items;
  for (uint32_t i = 0; i < extra->count; i++) {
    const char *name = read_text(&reader);
    uint32_t gid;
    if (!find_group(group, group_size, (struct field){name, strlen(name)}, &gid))
      return fail_because(failure, REASON_GROUP_NOT_FOUND, "");
    add_group(identity, gid);
  }
  if (passwd) munmap(passwd, (passwd_size));
  if (group) munmap(group, (group_size));
  return 0;
}
