/*
 * Health checks: a command or a probe that the monitor runs in the container again and again, so that it happens whether a
 * host lives or not. All that a check starts is in a cgroup of its own below the container's, and ends with it.
 *
 *   due ──▶ running ──ended──▶ result ──▶ due (after the interval)
 *              └──timeout──▶ killed, result
 */
#pragma once

#include "process.h"
#include "protocol.h"

struct monitor;

struct health {
  struct health_state state;
  bool active; /* the container runs, and is to be checked */
  bool running, ended; /* a check; and it is dead */
  bool late; /* it took too long, which was told */
  bool postponed; /* a check was due while the container was frozen */
  uint64_t number; /* of checks that were begun */
  uint64_t began; /* clock_ms() of the container's start */
  uint64_t due, expires; /* clock_ms() of the next check; of the end of this one */
  uint64_t kill_at; /* the container was told to stop; 0: it was not */
  int output; /* what the check writes; -1: none runs */
  struct health_result result; /* of the running check, in the making */
};

/* The program runs, or was restored: begin anew. */
void health_begin(struct monitor *monitor, bool restored);
/* All in it is dead. */
void health_end(struct monitor *monitor);

/* Do what is due. */
void health_step(struct monitor *monitor);
/* For how long nothing is; -1: for ever. */
int64_t health_timeout(const struct monitor *monitor);
/* It was thawed: a check that was due meanwhile is made up for. */
void health_thawed(struct monitor *monitor);

/* What the running check writes, to be polled; -1. */
int health_output(const struct monitor *monitor);
void health_read(struct monitor *monitor);
/* The check's process is dead, or never came to be. */
void health_ended(struct health *health, const struct process *process);

/* A host wants a check now: answered when one that begins from here on has a result. */
struct peer;
void health_ask(struct monitor *monitor, struct peer *peer, uint32_t id);
/* Tell a host how it is. False: it is gone. */
bool health_tell(const struct monitor *monitor, int socket);
