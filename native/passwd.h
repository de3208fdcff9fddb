/*
 * Users and groups as the container's own /etc/passwd and /etc/group name them. Both files belong to the image, so they
 * are hostile: only regular files are read, only so much of them, and a line that is not well-formed is no line.
 */
#pragma once

#include "protocol.h"

enum { PASSWD_FILE_MAXIMUM = 8 * 1024 * 1024 };

/*
 * Find who `user` is: '', 'uid', 'name', 'uid:gid', 'name:group' and so on, then add `extra` groups (names or numbers).
 * `root` is a descriptor of the container's root.
 */
struct list;
int find_identity(int root, const char *user, const struct list *extra, struct identity *identity,
                  struct failure *failure);

/* The home of one whose uid is known; `/` of one who has none there. */
int find_home(int root, struct identity *identity, struct failure *failure);

/* The bytes of such a file, to be unmapped; NULL: it is missing, or empty. */
int read_database(int root, const char *path, char **data, size_t *size, struct failure *failure);

/* The rest is open for the tests: pure functions over the bytes of a file. */

/* One field after another of a line: points into the line, NULL when there are no more. */
struct field {
  const char *text;
  size_t size;
};

struct passwd_entry {
  struct field name, home;
  uint32_t uid, gid;
};

struct group_entry {
  struct field name, members;
  uint32_t gid;
};

/* A whole decimal number of at most 2^32-2 (2^32-1 means "no change" to setuid(2), so it is nobody's). */
bool parse_id(struct field text, uint32_t *id);
/* The next well-formed entry; `*at` moves on. False at the end. */
bool next_passwd(const char **at, const char *end, struct passwd_entry *entry);
bool next_group(const char **at, const char *end, struct group_entry *entry);
bool has_member(struct field members, struct field name);
