/* What a run of the container is made of, at its first start as at all later ones, and what begins its end. */
#include <fcntl.h>
#include <signal.h>

#include "cgroup.h"
#include "monitor.h"
#include "netlink.h"
#include "stream.h"

int monitor_open_stdio(struct monitor *monitor, int stdio[3], int ours[3], struct failure *failure) {
  failure->stage = STAGE_STDIO;
  size_t next = 0;
  for (int fd = 0; fd < 3; fd++) {
    switch (monitor->plan.stdio[fd]) {
      case STDIO_PASS:
        errno = EINVAL;
        if (next == monitor->passed_count) return fail(failure, "recvmsg");
        stdio[fd] = monitor->passed[next++];
        break;
      case STDIO_LOG: {
        int ends[2];
        if (make_stream(&monitor->plan, ends, failure) < 0) return -1;
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        monitor->main.console.outputs[fd - 1] = ends[0];
        stdio[fd] = ours[fd] = ends[1];
        break;
      }
      case STDIO_OPEN:
      case STDIO_ONCE: {
        int ends[2];
        if (make_stream(&monitor->plan, ends, failure) < 0) return -1;
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        monitor->main.console.input = ends[1];
        monitor->main.console.once = monitor->plan.stdio[fd] == STDIO_ONCE;
        stdio[fd] = ours[fd] = ends[0];
        break;
      }
      case STDIO_TERMINAL: monitor->main.console.awaited = true; break;
      default: break;
    }
  }
  return 0;
}

/* What lasts as long as the container may be started again. */
static int make_lasting(struct monitor *monitor, struct failure *failure) {
  const struct plan *plan = &monitor->plan;
  if (plan->again) return 0;
  if (plan->restart != RESTART_NEVER &&
      namespaces_keep(&monitor->restart.kept, plan, monitor->main.pid, failure) < 0)
    return -1;
  return netlink_make_links(plan, monitor->main.pid, failure);
}

void monitor_release(struct monitor *monitor) {
  struct failure failure = {0};
  if (process_map_ids(&monitor->main, &monitor->plan, &failure) == 0 &&
      cgroup_attach(&monitor->plan, monitor->main.pid, monitor->slot, &failure) == 0 &&
      make_lasting(monitor, &failure) == 0) {
    process_go_on(&monitor->main);
    return;
  }
  /* One that failed by itself has told so before it died, and that is why nothing can be done to it any more. */
  for (int records = 0; records < 4 && monitor->main.failure.stage == 0; records++)
    if (!process_listen(&monitor->main)) break;
  monitor->failure = monitor->main.failure.stage == 0 ? failure : monitor->main.failure;
  monitor_end(monitor);
}

void monitor_end(struct monitor *monitor) {
  monitor->ending = true;
  process_kill(&monitor->main, SIGKILL);
  cgroup_signal(&monitor->plan, SIGKILL);
}
