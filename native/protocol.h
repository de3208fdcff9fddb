/*
 * What the host (lib/launch/protocol.ts), the launcher, the monitors and the new processes say to each other.
 *
 *   host → launcher, host → monitor   struct request in one sendmsg(2), with descriptors (SCM_RIGHTS)
 *   host → new process                the plan: u32 size, bytes; on the stream whose other end went with the request
 *   monitor → host                    frames: u32 size, u32 kind, payload; on that same stream
 *   new process → monitor             struct record, one datagram each, on its link (a SOCK_SEQPACKET pair)
 *   monitor → new process             one byte, 'g': go on
 */
#pragma once

#include "common.h"

enum request_kind {
  REQUEST_LAUNCH = 1, /* to the launcher: stream, stdio...; to a warm slot: stdio... */
  REQUEST_UNPACK = 2, /* to the launcher: directory, operations, status */
  REQUEST_EXEC = 3, /* to a monitor: stream, stdio...; first: 1 for a terminal, whose ends stdio are */
  REQUEST_KILL = 4, /* first: the signal; second: enum kill_how */
  REQUEST_PROCEED = 5, /* past the barrier */
  REQUEST_FREEZE = 6, /* first: 1 freeze, 0 thaw */
  REQUEST_SPARE = 7, /* to the launcher: the stream of a warm slot */
  REQUEST_COPY = 8, /* to the launcher: tree, operations, results, maybe a user namespace; first: enum copy_from, second: enum copy_way */
  REQUEST_ATTACH = 9, /* first: 1 with stdin; stdin, stdout, stderr, a terminal's output being one */
  REQUEST_RESIZE = 10, /* a terminal; first: columns; second: rows */
  REQUEST_RESTORED = 11, /* to a monitor whose pid 1 is CRIU; first: the pid that is to be it; second: enum restored; its descriptor */
  REQUEST_HEALTH = 12, /* a health check now; answered when it has a result, which is told before */
  REQUEST_MAKE = 13, /* to a launcher that is to be rootless: make namespaces */
  REQUEST_MAPPED = 14, /* to the same: they have their maps */
  REQUEST_JOIN = 15, /* to the same: a pidfd, whose namespaces to enter */
  REQUEST_STREAMS = 16, /* to a monitor: which pipes the streams of pid 1 are */
};

enum kill_how {
  KILL_ALL = 1, /* all processes of the container */
  KILL_FOR_GOOD = 2, /* it is not to be started again */
};

/* What comes with a pid 1 that was restored: the monitor's end of a stream that CRIU has made. */
enum restored {
  RESTORED_ALONE = 0,
  RESTORED_TERMINAL = 1, /* its master */
  RESTORED_INPUT = 2, /* the end of its input that is written to */
  RESTORED_INPUT_ONCE = 3, /* which ends with the last who is attached */
};

struct request {
  uint32_t kind;
  uint32_t id; /* comes back in the answer */
  uint32_t first;
  uint32_t second;
};

/* The kernel takes 253 (SCM_MAX_FD); all but five are sockets that hold published ports. */
enum { REQUEST_FDS = 250 };

enum frame_kind {
  FRAME_STARTED = 1, /* struct started_head, then the identity as in struct record */
  FRAME_READY = 2, /* the same, at the barrier */
  FRAME_FAILED = 3, /* struct failure */
  FRAME_EXITED = 4, /* struct ending; of an exec struct exit_record */
  FRAME_ANSWER = 5, /* u32 id, u32 errno (0: done); to REQUEST_STREAMS: struct stream_inodes */
  FRAME_WARM = 6, /* nothing: a slot is ready for its launch */
  FRAME_LOST_LINES = 7, /* u64: how many lines the log lacks by now, since it could not be written */
  FRAME_ENDED = 8, /* it is to be started again: struct started_head, struct ending, the identity */
  FRAME_FROZEN = 9, /* u32: 1 frozen, 0 thawed */
  FRAME_HEALTH = 10, /* struct health_state */
  FRAME_UNMAPPED = 11, /* nothing: a user namespace is made, and has no maps yet */
  FRAME_INSIDE = 12, /* nothing: a launcher is in its namespaces */
};

/* What was being done when a launch failed. `index` counts within the plan's list of that name. */
enum stage {
  STAGE_PLAN = 1,
  STAGE_FORK = 2,
  STAGE_CGROUP_DIRECTORY = 3,
  STAGE_CGROUP_WRITE = 4,
  STAGE_CGROUP_ATTACH = 5,
  STAGE_CGROUP_ENTER = 6,
  STAGE_DEVICE_PROGRAM = 7,
  STAGE_JOIN = 8,
  STAGE_CLONE = 9,
  STAGE_ID_MAP = 10,
  STAGE_STDIO = 11,
  STAGE_SOCKET = 12,
  STAGE_LOG = 13,
  STAGE_OPERATION = 14,
  STAGE_DIED = 15, /* the new process was killed before its program ran; `error` is the signal */
  STAGE_ENDED = 16, /* an exec in a container that is ending */
  STAGE_ENTER = 17, /* an exec could not join the container's namespaces */
  STAGE_LINK = 18, /* `index` counts the messages about links */
  STAGE_NAMESPACES = 19, /* a launcher's own (rootless.c) */
  STAGE_CONSOLE = 20, /* the terminal's master could not be sent on */
  STAGE_LISTENER = 21, /* nor the listener of a seccomp filter */
};

/* Failures whose meaning an errno alone does not tell. */
enum reason {
  REASON_SYSCALL = 0,
  REASON_USER_NOT_FOUND = 1,
  REASON_GROUP_NOT_FOUND = 2,
  REASON_COMMAND_NOT_FOUND = 3,
  REASON_COMMAND_NOT_EXECUTABLE = 4,
  REASON_INTERPRETER_NOT_FOUND = 5,
  REASON_WORKDIR_INVALID = 6,
  REASON_WORKDIR_OUTSIDE = 7,
  REASON_NOT_PROCFS = 8,
  REASON_NOT_DEV_NULL = 9,
  REASON_NOT_A_FILE = 10,
  REASON_TOO_LARGE = 11,
  REASON_NOT_DEVPTS = 12,
  REASON_HOOK_EXITED = 13, /* `error` is its status */
  REASON_HOOK_KILLED = 14, /* `error` is the signal */
  REASON_HOOK_LATE = 15,
  REASON_KEEPS_LABEL = 16,
};

struct failure {
  uint32_t stage;
  uint32_t index;
  uint32_t reason;
  uint32_t error; /* errno, or 0 */
  char syscall[24];
  char said[216]; /* the end of what a hook said; else empty */
};

enum record_kind {
  RECORD_CLONED = 1, /* from the stage process: the pid */
  RECORD_READY = 2, /* at the barrier: identity */
  RECORD_EXECUTING = 3, /* next comes execve(2): identity; with the end of the link it has succeeded */
  RECORD_FAILED = 4, /* failure */
  RECORD_TERMINAL = 5, /* nothing, and the master's descriptor */
  RECORD_PARTED = 6, /* nothing: its maker may end, and it lives on */
  RECORD_LISTENER = 7, /* u32: 1 from an exec's stage, and the descriptor of its filter's listener */
};

enum { GROUPS_MAXIMUM = 1024, HOME_MAXIMUM = 4096 };

/* Who the process is. On the wire: u32 uid, gid, count, groups, u32 length of home (UINT32_MAX: none), home. */
struct identity {
  uint32_t uid, gid, count;
  uint32_t groups[GROUPS_MAXIMUM];
  bool has_home;
  char home[HOME_MAXIMUM];
};

enum { IDENTITY_WIRE_MAXIMUM = 4 * (GROUPS_MAXIMUM + 4) + HOME_MAXIMUM };

struct exit_record {
  uint32_t exit_code; /* 128 + signal when a signal ended it */
  uint32_t signal; /* 0: it exited by itself */
  uint32_t oom_killed;
  uint32_t restarts; /* starts after the first */
  uint64_t started_at, finished_at; /* ms since the epoch */
  uint64_t lost_lines; /* log lines that could not be written */
  uint32_t by_user; /* it was told to stop */
  uint32_t reserved;
};

/* The end of a container. */
struct ending {
  struct exit_record record;
  uint64_t due_at; /* of the next start, ms since the epoch; 0: there is none */
  struct failure failure; /* of a restart that did not come to its program; stage 0: none */
};

enum health_status {
  HEALTH_STARTING = 1,
  HEALTH_HEALTHY = 2,
  HEALTH_UNHEALTHY = 3,
};

/* As Podman has it. */
enum { HEALTH_RESULTS = 5, HEALTH_OUTPUT = 500 };

struct health_result {
  uint64_t start, end; /* ms since the epoch */
  int32_t exit_code; /* -1: it took too long */
  uint32_t size;
  char output[HEALTH_OUTPUT]; /* the first bytes of it */
};

/* Also on disk, as it is. */
struct health_state {
  uint32_t status; /* enum health_status */
  uint32_t streak; /* of failures */
  uint32_t count;
  uint32_t reserved;
  struct health_result results[HEALTH_RESULTS]; /* the latest last */
};

/* Inodes of pipes; 0: it is none, or its end is closed. */
struct stream_inodes {
  uint64_t input, output, error;
};

/* Who a process is; the identity follows. */
struct started_head {
  uint32_t pid, restarts;
  uint32_t monitor; /* its keeper's pid, which lives through restarts */
  uint32_t frozen;
  uint64_t started_at; /* ms since the epoch */
};

/* Fill in a failed system call from errno. Returns -1, so that a caller can return it. */
int fail(struct failure *failure, const char *syscall);
int fail_because(struct failure *failure, enum reason reason, const char *syscall);

/* What a command that can't be run exits with. */
uint32_t exit_code_of(const struct failure *failure);

/* Receive one request and up to REQUEST_FDS descriptors: 1; 0 at the end; -1 on failure (EAGAIN: nothing there). */
int receive_request(int socket, struct request *request, int fds[REQUEST_FDS], size_t *count);

/* Send one frame without waiting. False: the peer is gone, or so far behind that it counts as gone. */
bool send_frame(int socket, enum frame_kind kind, const void *head, size_t head_size, const void *tail, size_t tail_size);

/* Send all of it, and a descriptor, in one message. */
struct iovec;
int send_with(int socket, struct iovec *parts, size_t count, int descriptor);

/* Read a plan (u32 size, bytes) into memory of its own. NULL: the stream ended or the size is out of range. */
void *receive_plan(int stream, size_t *size);
