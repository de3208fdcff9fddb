/*
 * Restarts: whether a container that has ended is started again, when, and how. The monitor does it, so that it happens
 * whether a host lives or not.
 *
 *   running ──end──▶ waiting (back-off) ──due──▶ starting ──▶ running
 *                        ▲──────── failure ─────────┘
 */
#pragma once

#include "namespaces.h"
#include "protocol.h"

struct monitor;

struct restart {
  struct namespaces kept;
  bool armed; /* its program has run: a first start that fails is nobody's to try again */
  bool forbidden; /* there is no start any more */
  bool by_user; /* because it was told to stop */
  bool forced; /* the next end is followed by a start, whatever the policy says */
  bool waiting; /* from an end until the program runs again */
  uint32_t count; /* of starts after the first */
  uint64_t began; /* clock_ms() when the program began to run; 0: it has not in this start */
  uint64_t pause; /* the last back-off */
  uint64_t due; /* clock_ms() of the next start; 0: none is to come, or it has begun */
  uint64_t due_at; /* the same as now_ms() tells it */
  uint64_t oom_kills; /* before the present start */
  struct exit_record last; /* of the run before, while waiting */
  struct failure failure; /* why there was no such run */
};

/* The program runs: told of by main_spoke(). */
void restart_began(struct monitor *monitor);

/* Would an end with this exit code, now, be followed by a start? */
bool restart_wanted(const struct monitor *monitor, uint32_t exit_code);
/* All is dead and recorded: tell of it and wait for the next start. */
void restart_wait(struct monitor *monitor, const struct exit_record *record);

/* For how long to wait for something to happen; -1: no restart is due. */
int64_t restart_timeout(const struct monitor *monitor);
/* Start it if that is due. */
void restart_when_due(struct monitor *monitor);

/* End it, with no start to follow. `by_user`: it was told to stop, which `unless-stopped` remembers. */
void restart_forbid(struct monitor *monitor, bool by_user);
/* End it and start it again at once, whatever the policy says; only of a plan whose policy is not RESTART_NEVER. */
void restart_now(struct monitor *monitor);

/* A frame FRAME_ENDED about the last run, for those who connect while it waits. */
bool restart_announce(const struct monitor *monitor, int socket);
