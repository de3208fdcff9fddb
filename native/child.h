/*
 * The new process between its clone and its execve: what it carries, and the operations that it performs on itself.
 */
#pragma once

#include <sys/resource.h>

#include "plan.h"
#include "protocol.h"

enum { TAKEN_MAXIMUM = 256 };

/*
 * What a new process has of its maker, in this order behind the descriptors that are passed to its program; all above is
 * closed at first. The link; the mount namespace that the plan takes mounts from, where it does, which is closed by the first
 * step that takes one; what its start is waited for on, where it is.
 */
enum { LINK_FD = 3 };
extern int link_fd; /* -1: nobody is left to talk to */
static inline int peer_fd(const struct plan *plan) { return LINK_FD + plan->passed + 1; }
static inline int start_fd(const struct plan *plan) { return LINK_FD + plan->passed + 2; }

/* A program to run on the way (interpret_hook.c). */
struct hook {
  uint32_t index; /* of its operation */
  const char *path; /* nothing is looked up */
  struct list argv, environment;
  uint32_t seconds; /* 0: however long */
  const char *directory; /* NULL: where it is */
};

struct child {
  const struct plan *plan;
  const struct hook *hook; /* what this process is for, in the place of the program; NULL: the program */
  int root; /* O_PATH of the root: the host's until a root operation, then the container's */
  bool pivoted;
  bool propagation_cut; /* mounts made here can't reach the host any more */
  bool gone_on; /* the monitor's 'g' has come: limits are set, all cgroups are entered */
  bool parted; /* it lives without whoever made it */
  int taken[TAKEN_MAXIMUM]; /* mount trees taken while they were the host's peers, by slot; 0: none */
  int empty_mount; /* a read-only empty tmpfs to mask directories with, made at the first need; -1 before */

  bool unborn; /* a stage still, out of the sight of the container (enter_pids.c) */
  bool has_terminal;
  bool limits_processes; /* once it is born, as its stage is one more */
  struct rlimit64 processes;

  bool outside; /* it is the stage that does what comes before OP_ENTER_USER */
  uint32_t skipped; /* operations that were done at the first start */

  bool has_user; /* op user has run */
  bool identity_taken; /* the credentials are in force */
  bool set_home;
  struct identity identity;
  bool has_capabilities;
  uint64_t effective, permitted, inheritable, bounding, ambient;

  struct failure failure;
};

/* Wait for the 'g' unless it has come. Without it there is no monitor any more, and the process ends. */
void wait_to_go_on(struct child *child);
/* Any word of the monitor's, at a barrier. */
void wait_for_word(void);

/* Set the link `lo` of our network namespace up. Returns NULL, or the system call that failed, with errno. */
const char *bring_loopback_up(void);

/* Run all operations of the plan that its stage has not done. Returns only on failure, with child->failure filled in. */
int interpret(struct child *child);
/* In that stage: those that come before OP_ENTER_USER. */
int interpret_outside(struct child *child);

/* interpret_mount.c */
int op_propagation(struct child *child, struct reader *fields);
int op_root_overlay(struct child *child, struct reader *fields);
int op_root_bind(struct child *child, struct reader *fields);
int op_mount(struct child *child, struct reader *fields);
int op_pivot_root(struct child *child, struct reader *fields);
int op_mask(struct child *child, struct reader *fields);
int op_read_only(struct child *child, struct reader *fields);
int op_mount_read_only(struct child *child, struct reader *fields);

/* MS_* of an enum propagation; 0: as it is. */
uint64_t propagation_flag(uint8_t propagation);
/* Move a mount that is attached nowhere onto a place in the container's root, both by descriptor. */
int attach_mount(struct child *child, int mount, int target);

/* interpret_bind.c */
int op_take(struct child *child, struct reader *fields);
int op_keep_root(struct child *child, struct reader *fields);
int op_account(struct child *child, struct reader *fields);
int op_bind(struct child *child, struct reader *fields);
int op_adopt(struct child *child, struct reader *fields);
int op_map_ids(struct child *child, struct reader *fields);

/* interpret_files.c */
int op_mkdir(struct child *child, struct reader *fields);
int op_mknod(struct child *child, struct reader *fields);
int op_symlink(struct child *child, struct reader *fields);
int op_write_file(struct child *child, struct reader *fields);

/* fill.c */
int op_fill(struct child *child, struct reader *fields);

/* netlink.c */
int op_netlink(struct child *child, struct reader *fields);

/* copy_up.c: copy the tree below `from` into `to`. */
int copy_tree(int from, int to, struct failure *failure);

/*
 * overlay.c: after a volatile mount overlay refuses the same directories, since it can't know whether the machine went down
 * in between. It did not, when the monitor is the same.
 */
void allow_volatile(const char *work);

/* overlay.c: a detached overlay mount with the layers `lower`, topmost first. */
int make_overlay(const struct list *lower, const char *upper, const char *work, const struct list *options,
                 struct failure *failure);
/* The way of kernels before 6.8, by mount(2) onto `at`. Apart so that it is tested on new ones too. */
int mount_overlay_old(const struct list *lower, const char *upper, const char *work, const struct list *options,
                      const char *at, struct failure *failure);

/* credentials.c */
int op_user(struct child *child, struct reader *fields);
int op_ids(struct child *child, struct reader *fields);
int op_capabilities(struct child *child, struct reader *fields);
int take_identity(struct child *child);
/* Once, before the first of them. */
void learn_of_groups(void);

/* scheduling.c */
int op_personality(struct child *child, struct reader *fields);
int op_scheduler(struct child *child, struct reader *fields);
int op_io_priority(struct child *child, struct reader *fields);
int op_memory_policy(struct child *child, struct reader *fields);
int op_affinity(struct child *child, struct reader *fields);
/* In the stage of one that is brought in, as long as it is in none of the container's cgroups. */
int set_affinity_unborn(const struct plan *plan, struct failure *failure);

/* outside.c */
int op_enter_user(struct child *child, struct reader *fields);

/* part.c */
int op_part(struct child *child, struct reader *fields);
/* What fails after the parting: nobody but its standard error is left to hear it. */
_Noreturn void part_failed(const struct failure *failure);

/* interpret.c: tell the maker in one datagram; nothing where nobody is left. */
int tell(const void *data, size_t size);
/* The same with a descriptor. */
int tell_with(const void *data, size_t size, int descriptor);
int tell_identity(const struct child *child, enum record_kind kind);

/* execute.c: find a program along PATH, and execute it. Both return on failure only; a look tells what would come of it. */
int look_for_program(struct child *child, const char *program, char *const *environment);
int execute(struct child *child, char **argv, char **environment);
/* The value of a variable, or NULL. */
const char *lookup(char *const *environment, const char *name);

/* interpret_hook.c */
int op_hook(struct child *child, struct reader *fields);
/* In the fork that a hook is for: execute it. Returns on failure only. */
int execute_hook(struct child *child);

/* char *[] of a list of texts, with an optional last one. Never freed: execve(2) comes next. */
char **strings(struct list list, char *last);

/* seccomp.c */
int op_seccomp(struct child *child, struct reader *fields);
/*
 * attribute.c: what the security modules are to make of the program, told by the host's /proc, before the pivot. Of a process
 * that is brought in, the stage tells it, which has no place in the container's /proc.
 */
int op_attribute(struct child *child, struct reader *fields);
int set_attributes_unborn(const struct plan *plan, struct failure *failure);

/* landlock.c */
int op_landlock(struct child *child, struct reader *fields);

/* enter_pids.c */
int op_enter_pids(struct child *child, struct reader *fields);
/* Before the stage leaves the host's /proc: in the container's it has no place. */
int set_oom_score_adj_unborn(const struct plan *plan, struct failure *failure);
int limit_processes_unborn(struct child *child, const struct rlimit64 *limit);

/* terminal.c */
int op_terminal(struct child *child, struct reader *fields);

/* place_init.c */
int op_place_init(struct child *child, struct reader *fields);
/* init.c: become the init of the container, by this program where it is there, and return in its child. */
int become_init(struct child *child, const char *program);
/* Be the holder of a pod: stay for the sake of the namespaces, reap, and end at the first polite signal. */
_Noreturn void become_holder(void);

/* A descriptor of the real /dev/null (c 1:3) of the container, or of the host before the pivot (CVE-2025-31133). */
int open_dev_null(struct child *child, uint64_t flags);
