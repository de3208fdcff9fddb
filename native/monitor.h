/*
 * The monitor: one small process per container. It starts pid 1, owns its log pipes, answers its hosts, brings in
 * exec'd processes, and when pid 1 ends it kills what is left, records the exit, tells everybody, and ends or starts it
 * again (restart.h).
 *
 *   starting ──▶ running ──▶ ending ──▶ (the process ends)
 *       └──────── failure ─────▲ │
 *           ▲────── waiting ◀────┘
 */
#pragma once

#include "health.h"
#include "log.h"
#include "plan.h"
#include "process.h"
#include "protocol.h"
#include "restart.h"

/* One connection: a host, or the host's end of an exec. */
struct peer {
  int fd; /* -1: closed, but its exec'd process is not reaped yet */
  bool is_exec;
  bool is_owner; /* it started the container, which is bound to it; others only look in */
  struct process process; /* of an exec */
  bool told_started;
  struct health *check; /* it is no exec of a host's but a health check, or NULL */
  uint64_t asked_check; /* the number of the health check that it waits for; 0: none */
  uint32_t asked_id;
};

enum { POLLED_FIXED = 5, POLLED_PER_PEER = 3 };

struct monitor {
  struct plan plan;
  struct process main;
  struct slot *slot; /* that the container was started from, or NULL */
  const int *passed; /* the process's streams, then what is held: sockets of published ports and the like */
  size_t passed_count, streams;
  bool *made; /* the cgroup directories that are ours to remove */
  int listener, signals;
  struct log log;
  uint64_t told_losses, told_at; /* lines; ms */
  struct peer *peers;
  size_t peer_count, peer_room;
  struct pollfd *polled; /* POLLED_FIXED, POLLED_PER_PEER for each peer, then those of the consoles */
  size_t polled_room;
  bool announced; /* the start has been told, so that the container has a life of its own */
  bool ready; /* it stands at the barrier */
  bool ending;
  int ending_tries;
  struct failure failure; /* of the start; stage 0: none */
  struct restart restart;
  struct health *health; /* NULL: it has no checks, or never ran */
  int freezing; /* 1: a freeze, 0: a thaw is awaited; -1: neither */
  uint32_t freezing_id;
  int freezing_tries;
  int freezing_fd;
};

/* Be the monitor of the container whose plan comes from `stream`, by way of a warm slot where there is one. */
_Noreturn void monitor_main(int stream, const int *passed, size_t count, struct slot *slot);

/* peers.c */
struct peer *peer_add(struct monitor *monitor, int fd, bool is_exec);
void peer_close(struct peer *peer);
void peer_forget_closed(struct monitor *monitor);
bool peer_owned(const struct monitor *monitor);
/* A frame FRAME_STARTED or FRAME_READY about pid 1, to one host, or to every one. */
bool monitor_announce(const struct monitor *monitor, int socket, enum frame_kind kind, bool frozen);
void monitor_tell_all(struct monitor *monitor, enum frame_kind kind);

/* execs.c: an exec's process said something, or ended. */
void peer_process_spoke(struct peer *peer);
void peer_process_ended(struct peer *peer);

/* requests.c */
void peer_accept(struct monitor *monitor);
void peer_receive(struct monitor *monitor, struct peer *peer);
void peer_check_frozen(struct monitor *monitor);
/* Tell of lines that the log lacks. Returns the milliseconds after which there is more to tell; -1: there is not. */
int peer_tell_losses(struct monitor *monitor);

/* consoles.c: how many descriptors they want to poll; write them down; do what can be done. */
size_t consoles_polled(const struct monitor *monitor);
void consoles_watch(const struct monitor *monitor, struct pollfd *polled);
void consoles_serve(struct monitor *monitor, const struct pollfd *polled);
/* NULL: there is no memory for it. */
struct pollfd *room_to_poll(struct monitor *monitor, size_t count);
/*
 * The container has ended, and all who wanted to know were told; but those who are attached have yet to read what it left.
 * As long as they are there, it is kept for them.
 */
void consoles_linger(struct monitor *monitor);

/* run.c: the process's ends of its streams; ours of the log pipes stay in the monitor. */
int monitor_open_stdio(struct monitor *monitor, int stdio[3], int ours[3], struct failure *failure);
/* Once pid 1 has a pid: what needs that, and the word to go on. */
void monitor_release(struct monitor *monitor);
/* Begin the end: kill all that lives in the container. The policy says whether it is started again. */
void monitor_end(struct monitor *monitor);

/* conclude.c: everything in the container is dead. Record it, and start it again or end. */
void monitor_conclude(struct monitor *monitor);
