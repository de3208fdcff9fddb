/* How the kernel treats the process among others: all of it goes over to those that it forks, and lasts through its execve. */
#include "child.h"

#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>

/* sched_setattr(2), as its first version has it; the build machine's header may not know it. */
struct scheduling {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t least, most;
};

enum { IO_PRIORITY_OF_PROCESS = 1 };

int op_personality(struct child *child, struct reader *fields) {
  return personality(read_u32(fields)) < 0 ? fail(&child->failure, "personality") : 0;
}

int op_scheduler(struct child *child, struct reader *fields) {
  struct scheduling wanted = {.size = sizeof(wanted), .policy = read_u32(fields), .flags = read_u64(fields)};
  wanted.nice = (int32_t)read_u32(fields);
  wanted.priority = read_u32(fields);
  wanted.runtime = read_u64(fields);
  wanted.deadline = read_u64(fields);
  wanted.period = read_u64(fields);
  return syscall(SYS_sched_setattr, 0, &wanted, 0) < 0 ? fail(&child->failure, "sched_setattr") : 0;
}

int op_io_priority(struct child *child, struct reader *fields) {
  long result = syscall(SYS_ioprio_set, IO_PRIORITY_OF_PROCESS, 0, read_u32(fields));
  return result < 0 ? fail(&child->failure, "ioprio_set") : 0;
}

/* A set of numbers as the kernel takes it: a bit each. What is beyond `size` bytes has no place in it. */
static uint32_t read_set(struct reader *fields, void *bits, size_t size) {
  struct blob bytes = read_blob(fields);
  memset(bits, 0, size);
  memcpy(bits, bytes.data, bytes.size < size ? bytes.size : size);
  return bytes.size;
}

int op_memory_policy(struct child *child, struct reader *fields) {
  unsigned long nodes[1024 / (8 * sizeof(unsigned long))];
  uint32_t mode = read_u32(fields);
  bool named = read_set(fields, nodes, sizeof(nodes)) > 0;
  /* The kernel looks at one bit less than it is told of. */
  long result = syscall(SYS_set_mempolicy, mode, named ? nodes : NULL, named ? 8 * sizeof(nodes) + 1 : 0);
  return result < 0 ? fail(&child->failure, "set_mempolicy") : 0;
}

static int set_affinity(struct reader *fields, struct failure *failure) {
  unsigned long processors[8192 / (8 * sizeof(unsigned long))];
  if (read_set(fields, processors, sizeof(processors)) == 0) memset(processors, 0xff, sizeof(processors));
  return syscall(SYS_sched_setaffinity, 0, sizeof(processors), processors) < 0 ? fail(failure, "sched_setaffinity") : 0;
}

int op_affinity(struct child *child, struct reader *fields) {
  read_blob(fields); /* set_affinity_unborn() */
  return set_affinity(fields, &child->failure);
}

int set_affinity_unborn(const struct plan *plan, struct failure *failure) {
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++) {
    struct operation operation = read_operation(&items);
    if (operation.code != OP_AFFINITY) continue;
    *failure = (struct failure){.stage = STAGE_OPERATION, .index = i};
    return set_affinity(&operation.fields, failure);
  }
  return 0;
}
