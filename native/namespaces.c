#include "namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

static const struct {
  uint32_t type;
  const char *name;
} names[NAMESPACES_MAXIMUM] = {
    /* In the order of entering: with the privileges of a user namespace those that belong to it can be entered. */
    {CLONE_NEWUSER, "user"}, {CLONE_NEWNET, "net"},  {CLONE_NEWIPC, "ipc"},       {CLONE_NEWUTS, "uts"},
    {CLONE_NEWPID, "pid"},   {CLONE_NEWTIME, "time"}, {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWNS, "mnt"},
};

int namespaces_keep(struct namespaces *kept, const struct plan *plan, pid_t pid, struct failure *failure) {
  uint32_t types = plan->create & (CLONE_NEWUSER | CLONE_NEWNET);
  struct reader items = plan->join.items;
  for (uint32_t i = 0; i < plan->join.count; i++) {
    types |= read_u32(&items);
    read_text(&items);
  }
  failure->stage = STAGE_CLONE;
  for (size_t i = 0; i < array_length(names); i++) {
    if (!(types & names[i].type)) continue;
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, names[i].name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(failure, "open");
    kept->types[kept->count] = names[i].type;
    kept->fds[kept->count++] = fd;
  }
  return 0;
}

int namespaces_enter(const struct namespaces *kept, struct failure *failure) {
  failure->stage = STAGE_CLONE;
  for (size_t i = 0; i < kept->count; i++)
    if (setns(kept->fds[i], (int)kept->types[i]) < 0) return fail(failure, "setns");
  return 0;
}

uint32_t namespaces_types(const struct namespaces *kept) {
  uint32_t types = 0;
  for (size_t i = 0; i < kept->count; i++) types |= kept->types[i];
  return types;
}
