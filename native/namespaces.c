#include "namespaces.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

static const struct {
  uint32_t type;
  const char *name;
} names[NAMESPACES_MAXIMUM] = {
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

/* What one is entered by. */
enum rights { OURS, USER, OF_USER, MOUNTS, ROUNDS };

static bool is_due(uint32_t type, enum rights rights) {
  if (type == CLONE_NEWUSER) return rights == USER;
  if (type == CLONE_NEWNS) return rights == MOUNTS;
  return rights == OURS || rights == OF_USER;
}

/*
 * What belongs to another user namespace than the one that is entered takes the rights that we have before that, and what we have
 * none over takes those that we have after it.
 */
int namespaces_enter(const struct namespaces *namespaces, int *cgroup, struct failure *failure) {
  bool changes_users = namespaces_types(namespaces) & CLONE_NEWUSER;
  uint32_t entered = 0;
  for (int round = OURS; round < ROUNDS; round++) {
    for (size_t i = 0; i < namespaces->count; i++) {
      uint32_t type = namespaces->types[i];
      if (entered & type || !is_due(type, (enum rights)round)) continue;
      failure->index = (uint32_t)i;
      if (type == CLONE_NEWCGROUP && cgroup) *cgroup = namespaces->fds[i];
      else if (setns(namespaces->fds[i], (int)type) < 0) {
        if (errno == EPERM && round == OURS && changes_users) continue;
        return fail(failure, "setns");
      }
      entered |= type;
    }
  }
  return 0;
}

uint32_t namespaces_types(const struct namespaces *kept) {
  uint32_t types = 0;
  for (size_t i = 0; i < kept->count; i++) types |= kept->types[i];
  return types;
}
