/*
 * A process of the container as its monitor sees it: pid 1, or one that was brought in by exec. It is always the
 * monitor's child, so that its pid can't be another's before the monitor has reaped it.
 *
 * Where something must happen in a process that is thrown away (joining namespaces, which can't be left again), a
 * stage process is forked that does it and then clones the real one with CLONE_PARENT, as a child of the monitor.
 */
#pragma once

#include "clone.h"
#include "console.h"
#include "namespaces.h"
#include "plan.h"
#include "protocol.h"

struct process {
  pid_t stage; /* not reaped yet; 0: none */
  pid_t pid; /* 0: not cloned yet */
  int pidfd, link; /* -1: not open */
  int listener; /* of its filter, until that is passed on; -1: none */
  bool unborn; /* which is of its stage */
  struct listener_plan listens; /* where to */
  bool executing; /* it has said that execve(2) comes next */
  bool parted; /* it lives on without us */
  bool started; /* and the link has ended: the program runs */
  bool dead; /* reaped: status is filled in */
  uint32_t exit_code, signal;
  uint64_t started_at;
  uint8_t *identity; /* as in RECORD_EXECUTING */
  size_t identity_size;
  struct failure failure; /* that it told of itself; stage 0: none */
  struct console console; /* the other end of its streams, as far as its monitor has that */
};

void process_clear(struct process *process);

/*
 * Start the container's pid 1. `kept`: of one that is started again, the namespaces that were kept; else NULL. `stdio`: what
 * to give it as 0, 1 and 2; -1: /dev/null. `slot`: a warm slot that the plan has taken, or NULL.
 */
struct slot;
int process_start(struct process *process, const struct plan *plan, const struct namespaces *kept, const int stdio[3],
                  enum go go, struct slot *slot, struct failure *failure);

/* Forget one that is dead. */
void process_forget(struct process *process);

/*
 * Start a process by a plan that is given, or else (NULL) comes from `stream`, in the namespaces and cgroups of
 * `container`'s pid 1.
 */
int process_enter(struct process *process, const struct plan *container, const struct process *main, int stream, const struct blob *given,
                  const int *passed, size_t count, struct failure *failure);

/* What its link has to say. False: the link has ended. */
bool process_listen(struct process *process);

/* After pid is known: id maps, and then the word to go on. */
int process_map_ids(const struct process *process, const struct plan *plan, struct failure *failure);
void process_go_on(struct process *process);

/* Reap it if it is dead. */
bool process_reap(struct process *process);
void process_kill(struct process *process, int signal);

/* Who it is, for frames. */
struct started_head process_head(const struct process *process);
/* A frame FRAME_STARTED about one of an exec. */
bool process_announce(const struct process *process, int socket, enum frame_kind kind);
