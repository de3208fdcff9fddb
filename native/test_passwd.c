/* /etc/passwd and /etc/group of an image are hostile. */
#include <stdlib.h>
#include <string.h>

#include "passwd.h"
#include "test.h"

static bool is(struct field field, const char *text) {
  return field.size == strlen(text) && memcmp(field.text, text, field.size) == 0;
}

static struct field field(const char *text) {
  return (struct field){text, strlen(text)};
}

void test_passwd(void) {
  uint32_t id = 7;
  check(parse_id(field("0"), &id) && id == 0, "0 is an id");
  check(parse_id(field("4294967294"), &id) && id == 4294967294U, "so is 2^32-2");
  const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1a", "4294967295", "4294967296", "99999999999999999999"};
  for (size_t i = 0; i < array_length(bad); i++) check(!parse_id(field(bad[i]), &id), "but not \"%s\"", bad[i]);

  const char text[] = "# comment\n"
                      "\n"
                      "short:x:1\n"
                      ":x:1:1:::\n"
                      "minus:x:-1:0::/:/bin/sh\n"
                      "many:x:1:1:a:/b:/c:d\n"
                      "+::::::\n"
                      "ann:x:1000:100:Ann:/home/ann:/bin/sh\n"
                      "last:x:5:6::/:";
  const char *at = text, *end = text + strlen(text);
  struct passwd_entry entry;
  check(next_passwd(&at, end, &entry) && is(entry.name, "ann") && is(entry.home, "/home/ann"),
        "lines that are no entries are passed over");
  check(entry.uid == 1000 && entry.gid == 100, "ids are read");
  check(next_passwd(&at, end, &entry) && is(entry.name, "last") && is(entry.home, "/"), "a last line needs no newline");
  check(!next_passwd(&at, end, &entry), "then it ends");

  const char groups[] = "wheel:x:10:root,ann\nempty:x:11:\nbad:x:y:ann\nx\nannex:x:12:annex,bob";
  at = groups;
  end = groups + strlen(groups);
  struct group_entry group;
  check(next_group(&at, end, &group) && group.gid == 10 && has_member(group.members, field("ann")), "a member is found");
  check(!has_member(group.members, field("an")) && !has_member(group.members, field("")), "by its whole name");
  check(next_group(&at, end, &group) && group.gid == 11 && !has_member(group.members, field("ann")), "an empty group");
  check(next_group(&at, end, &group) && group.gid == 12 && !has_member(group.members, field("ann")), "not by a part of one");
  check(!next_group(&at, end, &group), "then it ends");

  /* Exactly as many bytes as are allocated: a sanitizer or an allocator that checks sees a step too far. */
  srandom(20261124);
  size_t entries = 0;
  for (int round = 0; round < 100000; round++) {
    size_t size = (size_t)random() % 64;
    char *bytes = malloc(size + 1);
    if (!bytes) abort();
    for (size_t i = 0; i < size; i++) bytes[i] = "ab:::,\n01"[random() % 9];
    const char *cursor = bytes;
    while (next_passwd(&cursor, bytes + size, &entry)) entries++;
    cursor = bytes;
    while (next_group(&cursor, bytes + size, &group)) {
      has_member(group.members, group.name);
      entries++;
    }
    free(bytes);
  }
  check(entries > 0, "100000 random files do no harm");
}
