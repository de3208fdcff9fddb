/* The end of a run: what is recorded and told of it, and whether it is the end of all. */
#include <signal.h>
#include <stdio.h>

#include "cgroup.h"
#include "clock.h"
#include "exit_record.h"
#include "journal.h"
#include "monitor.h"
#include "netlink.h"

/* How the present run ended. */
static struct exit_record run_record(const struct monitor *monitor) {
  const struct restart *restart = &monitor->restart;
  const struct process *process = &monitor->main;
  /* One that is told to stop between two runs ended with the last. */
  if (restart->waiting && restart->forbidden) return restart->last;
  return (struct exit_record){
      .exit_code = restart->waiting ? exit_code_of(&monitor->failure) : process->exit_code,
      .signal = restart->waiting ? 0 : process->signal,
      .started_at = process->started_at ? process->started_at : now_ms(),
      .oom_killed = cgroup_oom_kills(&monitor->plan) > restart->oom_kills,
      .restarts = restart->count,
      .finished_at = now_ms(),
  };
}

static void tell_death(const struct plan *plan, const struct exit_record *record) {
  char members[64];
  snprintf(members, sizeof(members), ",\"exitCode\":%u,\"oomKilled\":%s", record->exit_code,
           record->oom_killed ? "true" : "false");
  journal_write(plan, "died", members);
}

static void write_record(const struct monitor *monitor, const struct exit_record *record) {
  const struct plan *plan = &monitor->plan;
  if (plan->has_monitor) exit_record_write(plan->exit_file, record, plan->lifetime == LIFETIME_DETACHED);
}

/* Everything in the container is dead and recorded: tell, and end. */
_Noreturn static void finish(struct monitor *monitor, struct exit_record *record) {
  const struct plan *plan = &monitor->plan;
  const struct process *process = &monitor->main;
  bool failed = !monitor->announced;
  record->by_user = monitor->restart.by_user;
  cgroup_remove(plan, monitor->made);
  netlink_tear_down(plan, cgroup_leave(plan));
  /* Whoever hears of the end may want the ports at once. */
  for (size_t i = monitor->streams; i < monitor->passed_count; i++) close(monitor->passed[i]);
  if (!failed) write_record(monitor, record);
  else if (plan->has_monitor) exit_record_forget(plan->exit_file);
  if (monitor->listener >= 0) unlink(plan->socket);
  if (process->started) tell_death(plan, record);

  if (failed && monitor->failure.stage == 0)
    monitor->failure = (struct failure){.stage = STAGE_DIED, .error = process->signal ? process->signal : SIGKILL};
  struct ending ending = {.record = *record, .failure = monitor->failure};
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (peer->fd < 0 || peer->is_exec) continue;
    if (failed || (monitor->failure.stage != 0 && !process->started && !monitor->restart.armed))
      send_frame(peer->fd, FRAME_FAILED, &monitor->failure, sizeof(monitor->failure), NULL, 0);
    else
      send_frame(peer->fd, FRAME_EXITED, &ending, sizeof(ending), NULL, 0);
  }
  consoles_linger(monitor);
  _exit(0);
}

/* Everything in the container is dead: record it, and start it again or end. */
void monitor_conclude(struct monitor *monitor) {
  /* All writers are dead: what is in the pipes is the rest. */
  struct process *process = &monitor->main;
  console_end(&process->console, &monitor->log);
  log_end(&monitor->log);
  health_end(monitor);
  if (monitor->restart.waiting && monitor->failure.stage == 0)
    monitor->failure = (struct failure){.stage = STAGE_DIED, .error = process->signal ? process->signal : SIGKILL};
  struct exit_record record = run_record(monitor);
  record.lost_lines = monitor->log.lost_lines;
  if (!restart_wanted(monitor, record.exit_code)) finish(monitor, &record);
  log_end_lines(&monitor->log);
  write_record(monitor, &record);
  if (process->started) tell_death(&monitor->plan, &record);
  restart_wait(monitor, &record);
}
