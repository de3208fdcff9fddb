#include "restart.h"

#include <string.h>

#include "cgroup.h"
#include "clock.h"
#include "exit_record.h"
#include "monitor.h"

/* As Docker has it: twice as long each time, and from the beginning again after a run that lasted. */
enum { PAUSE_FIRST = 100, PAUSE_MAXIMUM = 60 * 1000, RUN_LASTING = 10 * 1000 };

void restart_began(struct monitor *monitor) {
  struct restart *restart = &monitor->restart;
  restart->armed = true;
  restart->waiting = false;
  restart->began = clock_ms();
}

bool restart_wanted(const struct monitor *monitor, uint32_t exit_code) {
  const struct restart *restart = &monitor->restart;
  const struct plan *plan = &monitor->plan;
  if (!restart->armed || restart->forbidden || plan->restart == RESTART_NEVER) return false;
  if (restart->forced || plan->restart == RESTART_ALWAYS) return true;
  if (plan->restart != RESTART_ON_FAILURE || exit_code == 0) return false;
  return plan->restart_maximum == 0 || restart->count < plan->restart_maximum;
}

/* How long to wait before the next start. */
static uint64_t next_pause(const struct restart *restart, uint64_t now) {
  if (restart->forced) return 0;
  if (restart->pause == 0 || (restart->began != 0 && now - restart->began >= RUN_LASTING)) return PAUSE_FIRST;
  return restart->pause * 2 < PAUSE_MAXIMUM ? restart->pause * 2 : PAUSE_MAXIMUM;
}

void restart_wait(struct monitor *monitor, const struct exit_record *record) {
  struct restart *restart = &monitor->restart;
  uint64_t now = clock_ms();
  uint64_t pause = next_pause(restart, now);
  if (!restart->forced) restart->pause = pause;
  restart->due = now + pause;
  restart->due_at = now_ms() + pause;
  restart->last = *record;
  restart->failure = monitor->failure;
  restart->forced = false;
  restart->waiting = true;
  restart->began = 0;
  monitor->failure = (struct failure){0};
  monitor->ending = false;
  monitor->ending_tries = 0;
  /* Of the dead process only who it was is of use, to those who connect meanwhile. */
  monitor->main.pid = 0;
  monitor->main.dead = monitor->main.started = monitor->main.executing = false;
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (!peer->is_exec && peer->fd >= 0 && !restart_announce(monitor, peer->fd)) peer_close(peer);
  }
}

bool restart_announce(const struct monitor *monitor, int socket) {
  const struct restart *restart = &monitor->restart;
  struct {
    struct started_head started;
    struct ending ending;
  } head = {
      .started = process_head(&monitor->main),
      .ending = {.record = restart->last, .due_at = restart->due_at, .failure = restart->failure},
  };
  head.started.restarts = restart->count;
  return send_frame(socket, FRAME_ENDED, &head, sizeof(head), monitor->main.identity, monitor->main.identity_size);
}

int64_t restart_timeout(const struct monitor *monitor) {
  const struct restart *restart = &monitor->restart;
  if (restart->due == 0 || monitor->ending) return -1;
  uint64_t now = clock_ms();
  return restart->due > now ? (int64_t)(restart->due - now) : 0;
}

static int launch(struct monitor *monitor, struct failure *failure) {
  struct plan *plan = &monitor->plan;
  int stdio[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1};
  plan->again = true;
  /* The record of the run before is not to be taken for this one's, whose room it becomes. */
  if (plan->has_monitor) exit_record_renew(plan->exit_file);
  /* One that was frozen when it was killed left its cgroup so; and what it made below may stand in the way. */
  cgroup_freeze(plan, false);
  cgroup_clear(plan, monitor->made);
  monitor->restart.oom_kills = cgroup_oom_kills(plan);
  int result = monitor_open_stdio(monitor, stdio, ours, failure);
  enum go go = plan->uid_map || plan->attach.count > 0 ? GO_AFTER_WORD : GO_BEFORE_EXEC;
  if (result == 0) result = process_start(&monitor->main, plan, &monitor->restart.kept, stdio, go, NULL, failure);
  for (size_t i = 0; i < array_length(ours); i++) close_fd(&ours[i]);
  return result;
}

void restart_when_due(struct monitor *monitor) {
  struct restart *restart = &monitor->restart;
  if (restart_timeout(monitor) != 0) return;
  restart->due = 0;
  restart->count++;
  process_forget(&monitor->main);
  struct failure failure = {0};
  if (launch(monitor, &failure) < 0) {
    monitor->failure = failure;
    monitor_end(monitor);
  } else if (monitor->main.pid > 0) {
    monitor_release(monitor);
  }
}

void restart_forbid(struct monitor *monitor, bool by_user) {
  struct restart *restart = &monitor->restart;
  restart->forbidden = true;
  restart->by_user = restart->by_user || by_user;
}

void restart_now(struct monitor *monitor) {
  monitor->restart.forced = true;
  monitor_end(monitor);
}
