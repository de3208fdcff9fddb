/*
 * The launch plan as bytes: what lib/launch/encode writes and this helper obeys. All numbers are little-endian and
 * unaligned. A plan is untrusted input like any other: it is checked whole before the first step of it is done.
 *
 *   text   u32 length, bytes, NUL        (so that C points straight into the plan; no NUL among the bytes)
 *   maybe  u8 present, text when present
 *   blob   u32 length, bytes
 *   list   u32 count, items
 *
 *   plan   u32 PLAN_MAGIC, u32 PLAN_VERSION
 *          u32 create                    (CLONE_NEW* of sched.h)
 *          list of {u32 type, text path} join; maybe peer
 *          u8 listener, {text path, text state, u32 container} when 1
 *          u8 idMaps, {text uid, text gid} when 1
 *          list of text shared; list of text directories; list of {text path, text value, u8 optional} writes;
 *          maybe into;
 *          list of text attach; maybe unified; maybe freezer; maybe oomEvents; blob deviceProgram
 *          u8 stdin, u8 stdout, u8 stderr; maybe streamLabel
 *          u8 monitor, {u8 lifetime, text socket, text exitFile, log,
 *                       u8 journal, {text path, u32 limit, text members} when 1,
 *                       u8 restart, u32 maximum,
 *                       u8 health, {u64 interval, u64 timeout, u64 startPeriod, u64 startInterval, u32 retries, u8 action,
 *                                   u32 stopSignal, u64 stopTimeout, u8 whenRestored, text file, blob check} when 1} when 1
 *          log: u8 driver, {u8 stopsWhenFull, text target, text fields, u64 maxSize, u32 maxFiles} when not 0
 *          maybe space; list of {blob message, u32 pidAt} links; list of blob teardown; list of blob unlinks
 *          list of {u32 opcode, u32 length, fields} operations
 */
#pragma once

#include "common.h"

enum { PLAN_MAGIC = 0x50444c50, PLAN_VERSION = 11, PLAN_MAXIMUM = 64 * 1024 * 1024 };

/* A spec of lib/launch checks that these numbers and encode/numbers.ts agree, by reading this very file. */
enum opcode {
  OP_PROPAGATION = 1,
  OP_ROOT_OVERLAY = 2,
  OP_ROOT_BIND = 3,
  OP_MOUNT = 4,
  OP_BIND = 5,
  OP_MKDIR = 6,
  OP_MKNOD = 7,
  OP_SYMLINK = 8,
  OP_WRITE_FILE = 9,
  OP_PIVOT_ROOT = 10,
  OP_MASK = 11,
  OP_READ_ONLY = 12,
  OP_MOUNT_READ_ONLY = 13,
  OP_HOSTNAME = 14,
  OP_DOMAINNAME = 15,
  OP_SYSCTL = 16,
  OP_LOOPBACK_UP = 17,
  OP_RLIMIT = 18,
  OP_OOM_SCORE_ADJ = 19,
  OP_UMASK = 20,
  OP_KEYRING = 21,
  OP_NO_NEW_PRIVS = 22,
  OP_USER = 23,
  OP_CAPABILITIES = 24,
  OP_SECCOMP = 25,
  OP_CHDIR = 26,
  OP_INIT = 27,
  OP_BARRIER = 28,
  OP_EXEC = 29,
  OP_NETLINK = 30,
  OP_EXIT = 31,
  OP_FILL = 32,
  OP_TAKE = 33,
  OP_ADOPT = 34,
  OP_KEEP_ROOT = 35,
  OP_TERMINAL = 36,
  OP_ONCE = 37,
  OP_OPEN_NETWORK = 38,
  OP_HOLD = 39,
  OP_HOOK = 40,
  OP_PROBE = 41,
  OP_LANDLOCK = 42,
  OP_ENTER_PIDS = 43,
  OP_PART = 44,
  OP_IDS = 45,
  OP_ATTRIBUTE = 46,
  OP_MAP_IDS = 47,
  OP_ENTER_USER = 48,
  OP_PERSONALITY = 49,
  OP_SCHEDULER = 50,
  OP_IO_PRIORITY = 51,
  OP_MEMORY_POLICY = 52,
  OP_AFFINITY = 53,
  OP_ACCOUNT = 54,
  OP_PLACE_INIT = 55,
  OP_COUNT = 56,
};

enum propagation {
  PROPAGATION_UNCHANGED = 0,
  PROPAGATION_PRIVATE = 1,
  PROPAGATION_SLAVE = 2,
  PROPAGATION_SHARED = 3,
  PROPAGATION_UNBINDABLE = 4,
};

/*
 * LOG: a pipe to the monitor; OPEN, ONCE: one from it, for who attaches, which stays open, or ends with the last of those;
 * TERMINAL: all three are one, which an operation makes.
 */
enum stdio_mode { STDIO_NULL = 0, STDIO_LOG = 1, STDIO_PASS = 2, STDIO_OPEN = 3, STDIO_ONCE = 4, STDIO_TERMINAL = 5 };

enum log_kind { LOG_NONE = 0, LOG_K8S = 1, LOG_JSON = 2, LOG_JOURNAL = 3 };

enum lifetime { LIFETIME_BOUND = 0, LIFETIME_DETACHED = 1 };

/* RESTART_ON_REQUEST: never by itself, but the monitor may be told to (restart_now()). */
enum restart_policy { RESTART_NEVER = 0, RESTART_ON_FAILURE = 1, RESTART_ALWAYS = 2, RESTART_ON_REQUEST = 3 };

/* What follows when a container has become unhealthy. */
enum health_action { HEALTH_NONE = 0, HEALTH_KILL = 1, HEALTH_STOP = 2, HEALTH_RESTART = 3 };

/* A cursor. Once it ran over its end it stays broken and gives zeros and empty texts, never a byte from outside. */
struct reader {
  const uint8_t *at;
  const uint8_t *end;
  bool broken;
};

struct blob {
  const uint8_t *data;
  uint32_t size;
};

/* Items that lie one after the other; read them with a copy of the reader. */
struct list {
  uint32_t count;
  struct reader items;
};

struct operation {
  uint32_t code;
  struct reader fields;
};

struct log_plan {
  uint8_t driver; /* enum log_kind */
  uint8_t stops_when_full; /* the container ends when a line can't be kept */
  const char *target; /* path of the file, or of journald's socket */
  const char *fields; /* of every entry: JSON of "attrs", or empty; for the journal, lines of its protocol */
  uint64_t max_size; /* bytes of a file; 0: any */
  uint32_t max_files;
};

/* Times are milliseconds. */
struct health_plan {
  const char *file; /* where the state is kept; NULL: there are no checks */
  uint64_t interval, timeout, start_period, start_interval, stop_timeout;
  uint32_t retries, stop_signal;
  uint8_t action; /* enum health_action */
  bool when_restored; /* pid 1 is CRIU at first, which is not what is checked */
  struct blob check; /* the plan of the process that does it, as of an exec */
};

/* Where the listener of a seccomp filter goes (SCMP_ACT_NOTIFY of the runtime-spec). */
struct listener_plan {
  const char *path; /* of a socket; NULL: nowhere */
  const char *state; /* JSON of what is known before the process is there, without its last two braces */
  uint32_t container; /* pid 1 of the container that the process is brought in to; 0: it is pid 1 itself */
};

#define NO_PID UINT32_MAX

/* Where detach.c has the descriptors that its container's program inherits. */
enum { FIRST_PASSED = 5 };

struct plan {
  uint32_t create;
  struct list join; /* u32 type, text path */
  const char *peer; /* a mount namespace that OP_TAKE can take from; NULL: none */
  struct listener_plan listener;
  int *joined, peer_fd; /* descriptors of these, once they are opened */
  const char *uid_map, *gid_map; /* of the user namespace that it makes or joins; NULL: none */
  struct list shared; /* text; cgroups that others are in, too */
  struct list directories; /* text */
  struct list writes; /* text path, text value, u8 optional */
  struct list attach; /* text */
  const char *into, *unified, *freezer, *oom_events; /* NULL when absent */
  struct blob device_program;
  uint8_t stdio[3]; /* enum stdio_mode */
  const char *stream_label; /* of SELinux, for the pipes of these; NULL: as pipes are */
  bool has_monitor;
  uint8_t lifetime;
  const char *socket, *exit_file;
  struct log_plan log;
  const char *journal, *journal_members; /* NULL when absent */
  uint32_t journal_limit; /* bytes */
  uint8_t restart; /* enum restart_policy */
  uint32_t restart_maximum; /* of restarts on failure; 0: none */
  struct health_plan health;
  const char *space; /* the network namespace that all this is done in; NULL: the one we are in */
  struct list links; /* blob message, u32 offset of the pid in it; NO_PID: nowhere */
  struct list teardown; /* blob */
  struct list unlinks; /* blob */
  struct list operations;
  uint32_t outside; /* not on the wire: how many operations come before OP_ENTER_USER, done by a stage with the host's rights */
  bool again; /* nor this: it was started before, and what lasts is there */
  int passed; /* nor this: how many descriptors, from FIRST_PASSED on, its program inherits behind its streams */
  int start_fd; /* nor this: the FIFO that its start is waited for on; -1: none */
};

uint8_t read_u8(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
const char *read_text(struct reader *reader);
const char *read_maybe(struct reader *reader);
struct blob read_blob(struct reader *reader);
struct list read_texts(struct reader *reader);
struct list read_blobs(struct reader *reader);
/* Of op landlock: u64 access, text path; u64 access, u32 port. */
struct list read_path_rules(struct reader *reader);
struct list read_port_rules(struct reader *reader);
struct operation read_operation(struct reader *reader);

/* Check every byte of a plan and point `plan` into it. The bytes must outlive the plan. False: it is malformed. */
bool plan_decode(struct plan *plan, const void *bytes, size_t size);

/* Is its process brought into a container that runs? */
bool plan_enters_pids(const struct plan *plan);
