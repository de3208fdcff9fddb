/* The processes that hosts bring in, as their connections hear of them. */
#include <signal.h>

#include "clock.h"
#include "monitor.h"

void peer_process_spoke(struct peer *peer) {
  struct process *process = &peer->process;
  if (process_listen(process)) return;
  if (process->started && peer->check) return;
  if (process->started) {
    peer->told_started = true;
    if (peer->fd >= 0 && !process_announce(process, peer->fd, FRAME_STARTED)) peer_close(peer);
    else if (peer->fd < 0) process_kill(process, SIGKILL);
    return;
  }
  /* It failed, and told why, or was killed before it could. */
  if (process->pid > 0 && !process->dead) process_kill(process, SIGKILL);
  if (process->pid <= 0) {
    process->dead = true;
    peer_process_ended(peer);
  }
}

void peer_process_ended(struct peer *peer) {
  struct process *process = &peer->process;
  /* Death may be noticed before the end of the link: hear first what it had to say. */
  while (process->link >= 0 && process_listen(process)) continue;
  /* All that it said is on its way before its end is told. */
  console_end(&process->console, NULL);
  if (peer->check) health_ended(peer->check, process);
  if (peer->fd < 0) return;
  if (!process->started) {
    if (process->failure.stage == 0)
      process->failure = (struct failure){.stage = STAGE_DIED, .error = process->signal ? process->signal : SIGKILL};
    send_frame(peer->fd, FRAME_FAILED, &process->failure, sizeof(process->failure), NULL, 0);
  } else {
    if (!peer->told_started) process_announce(process, peer->fd, FRAME_STARTED);
    struct exit_record record = {.exit_code = process->exit_code,
                                 .signal = process->signal,
                                 .started_at = process->started_at,
                                 .finished_at = now_ms()};
    send_frame(peer->fd, FRAME_EXITED, &record, sizeof(record), NULL, 0);
  }
  close_fd(&peer->fd);
}
