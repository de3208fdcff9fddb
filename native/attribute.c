/*
 * Attributes of a process that security modules read at its next execve(2) (proc_pid_attr(5)): they stay through setns(2),
 * forks and whatever rights are given up, and end with that.
 */
#include "child.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* Kernels before 5.8 have one file for all modules, in the place of `apparmor/exec`. */
static int write_attribute(const char *name, const char *value) {
  char path[64];
  const char *short_name = strrchr(name, '/');
  for (const char *at = name;; at = short_name + 1) {
    int size = snprintf(path, sizeof(path), "/proc/thread-self/attr/%s", at);
    errno = ENAMETOOLONG;
    if (size < 0 || (size_t)size >= sizeof(path)) return -1;
    autoclose int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && short_name && at == name) continue;
    if (fd < 0) return -1;
    return write(fd, value, strlen(value)) < 0 ? -1 : 1;
  }
}

static int set_attribute(struct reader *fields, struct failure *failure) {
  const char *name = read_text(fields), *value = read_text(fields);
  int written = write_attribute(name, value);
  return written < 0 ? fail(failure, "write") : 0;
}

int op_attribute(struct child *child, struct reader *fields) {
  return child->unborn ? 0 : set_attribute(fields, &child->failure);
}

int set_attributes_unborn(const struct plan *plan, struct failure *failure) {
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++) {
    struct operation operation = read_operation(&items);
    if (operation.code != OP_ATTRIBUTE) continue;
    *failure = (struct failure){.stage = STAGE_OPERATION, .index = i};
    if (set_attribute(&operation.fields, failure) < 0) return -1;
  }
  return 0;
}
