/* landlock(7): rules that bind the program whatever it becomes. Which, TypeScript has decided. */
#include "child.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "resolve.h"

/* The header of the build machine may be older than the kernel that this runs on. */
struct ruleset {
  uint64_t files, ports, scopes;
};
struct port_rule {
  uint64_t access, port;
};
enum { RULE_PATH = 1, RULE_PORT = 2 };

/* The rights that mean something for what isn't a directory: execute, write, read, truncate, ioctl_dev. */
#define FILE_RIGHTS ((uint64_t)(1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15))

static int add_rule(int ruleset, int type, const void *rule) {
  return (int)syscall(SYS_landlock_add_rule, ruleset, type, rule, 0);
}

static int allow_path(struct child *child, int ruleset, uint64_t access, const char *path) {
  autoclose int place = resolve(child->root, path, O_PATH);
  if (place < 0) return fail(&child->failure, "openat2");
  struct stat status;
  if (fstat(place, &status) < 0) return fail(&child->failure, "fstat");
  if (!S_ISDIR(status.st_mode)) access &= FILE_RIGHTS;
  if (access == 0) return 0;
  struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = place};
  return add_rule(ruleset, RULE_PATH, &rule) < 0 ? fail(&child->failure, "landlock_add_rule") : 0;
}

int op_landlock(struct child *child, struct reader *fields) {
  struct ruleset handled = {.files = read_u64(fields), .ports = read_u64(fields), .scopes = read_u64(fields)};
  struct list paths = read_path_rules(fields), ports = read_port_rules(fields);
  /* An older kernel knows a shorter structure, and takes this one as long as zeros are behind what it knows. */
  autoclose int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
  if (ruleset < 0) return fail(&child->failure, "landlock_create_ruleset");
  for (uint32_t i = 0; i < paths.count; i++) {
    uint64_t access = read_u64(&paths.items);
    if (allow_path(child, ruleset, access, read_text(&paths.items)) < 0) return -1;
  }
  for (uint32_t i = 0; i < ports.count; i++) {
    struct port_rule rule = {.access = read_u64(&ports.items), .port = read_u32(&ports.items)};
    if (add_rule(ruleset, RULE_PORT, &rule) < 0) return fail(&child->failure, "landlock_add_rule");
  }
  if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0) return fail(&child->failure, "landlock_restrict_self");
  return 0;
}
