#include "monitor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "clock.h"
#include "clone.h"
#include "exit_record.h"
#include "journal.h"
#include "netlink.h"
#include "slot.h"

enum { ENDING_TRIES = 1000 };

/* A fork shares the launcher's signal set-up and session; a monitor is its own. */
static void become_own(struct monitor *monitor) {
  setsid();
  prctl(PR_SET_NAME, "podling-monitor");
  signal(SIGCHLD, SIG_DFL);
  sigset_t taken;
  sigemptyset(&taken);
  sigaddset(&taken, SIGTERM);
  sigaddset(&taken, SIGINT);
  sigaddset(&taken, SIGHUP);
  sigaddset(&taken, SIGCHLD); /* of a child that has no pidfd here, see reap_strays() */
  sigprocmask(SIG_BLOCK, &taken, NULL);
  /* A polite request to a monitor to end is one to end its container: else nobody would record the exit. */
  monitor->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Listen at the plan's path, which may be longer than a socket address has room for: its directory is entered. */
static int open_listener(struct monitor *monitor, struct failure *failure) {
  failure->stage = STAGE_SOCKET;
  const char *path = monitor->plan.socket, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  errno = ENAMETOOLONG;
  if (!slash || strlen(name) == 0 || strlen(name) >= sizeof(address.sun_path)) return fail(failure, "bind");
  memcpy(address.sun_path, name, strlen(name) + 1);
  char directory[PATH_MAX];
  if (slash - path >= PATH_MAX) return fail(failure, "bind");
  memcpy(directory, path, (size_t)(slash - path));
  directory[slash - path] = '\0';

  monitor->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (monitor->listener < 0) return fail(failure, "socket");
  if (chdir(slash == path ? "/" : directory) < 0) return fail(failure, "chdir");
  mode_t before = umask(0177);
  int bound = bind(monitor->listener, (struct sockaddr *)&address, sizeof(address));
  if (bound < 0 && errno == EADDRINUSE) {
    /* Left by a monitor that was killed: the host starts no second container under one path. */
    unlink(name);
    bound = bind(monitor->listener, (struct sockaddr *)&address, sizeof(address));
  }
  umask(before);
  if (bound < 0) fail(failure, "bind");
  if (chdir("/") < 0 && bound == 0) bound = fail(failure, "chdir");
  if (bound < 0) return -1;
  return listen(monitor->listener, 128) < 0 ? fail(failure, "listen") : 0;
}

/* All that can be done beside the new process, which makes its mounts meanwhile. */
static int furnish(struct monitor *monitor, struct failure *failure) {
  const struct plan *plan = &monitor->plan;
  if (cgroup_limit(plan, failure) < 0) return -1;
  failure->stage = STAGE_LOG;
  if (plan->log.driver != LOG_NONE && log_open(&monitor->log, &plan->log) < 0) return fail(failure, "open");
  if (plan->has_monitor && exit_record_reserve(plan->exit_file) < 0) return fail(failure, "write");
  return plan->has_monitor ? open_listener(monitor, failure) : 0;
}

static int start(struct monitor *monitor, struct failure *failure) {
  const struct plan *plan = &monitor->plan;
  int stdio[3] = {-1, -1, -1}, ours[3] = {-1, -1, -1};
  errno = ENOMEM;
  monitor->made = calloc((size_t)plan->directories.count + 1, sizeof(bool));
  if (!monitor->made) return fail(failure, "calloc");
  const int *held = monitor->passed + monitor->streams;
  if (clone_open_joined(&monitor->plan, held, monitor->passed_count - monitor->streams, failure) < 0) return -1;
  if (monitor->slot && !slot_take(monitor->slot, plan, monitor->made)) monitor->slot = NULL;
  if (cgroup_make(plan, monitor->made, failure) < 0) return -1;
  int result = monitor_open_stdio(monitor, stdio, ours, failure);
  /* A cgroup namespace is rooted where its maker is: it must be in all cgroups before its first step. */
  bool first = plan->uid_map != NULL;
  struct reader attach = plan->attach.items;
  for (uint32_t i = 0; i < plan->attach.count; i++)
    if (!slot_covers(monitor->slot, read_text(&attach))) first = true;
  if (result == 0)
    result = process_start(&monitor->main, plan, NULL, stdio, first ? GO_AFTER_WORD : GO_BEFORE_EXEC, monitor->slot,
                           failure);
  for (size_t i = 0; i < array_length(ours); i++) close_fd(&ours[i]);
  return result == 0 ? furnish(monitor, failure) : -1;
}

static void main_spoke(struct monitor *monitor) {
  struct process *process = &monitor->main;
  bool had_pid = process->pid > 0, was_executing = process->executing;
  size_t identity = process->identity_size;
  bool goes_on = process_listen(process);
  if (!had_pid && process->pid > 0) monitor_release(monitor);
  if (goes_on && identity == 0 && process->identity_size > 0 && !process->executing && !was_executing) {
    monitor->ready = true;
    process->started_at = now_ms();
    monitor->announced = true;
    monitor_tell_all(monitor, FRAME_READY);
  }
  if (goes_on) return;
  if (process->started) {
    monitor->announced = true;
    if (monitor->plan.again) journal_write(&monitor->plan, "restart", "");
    journal_write(&monitor->plan, "start", "");
    restart_began(monitor);
    monitor_tell_all(monitor, FRAME_STARTED);
    health_begin(monitor, false);
    return;
  }
  if (monitor->failure.stage == 0) monitor->failure = process->failure;
  monitor_end(monitor);
}

/*
 * All that the link has to say. poll(2) looks at one descriptor after the other, so it may have seen output and not the end of
 * the link before it; but what a program writes is not older than its start.
 */
static void hear_start(struct monitor *monitor) {
  struct pollfd link = {.fd = monitor->main.link, .events = POLLIN};
  while (monitor->main.link >= 0 && poll(&link, 1, 0) > 0) main_spoke(monitor);
}

/* Is all dead? Kill again what is not: a process may have come into the cgroup after the last time. */
static bool is_over(struct monitor *monitor) {
  struct process *process = &monitor->main;
  if (process->pid > 0 && !process->dead) return false;
  if (process->link >= 0) return false; /* it may have something to say yet */
  for (size_t i = 0; i < monitor->peer_count; i++) {
    const struct process *other = &monitor->peers[i].process;
    if (monitor->peers[i].is_exec && (other->link >= 0 || (other->pid > 0 && !other->dead))) return false;
  }
  /*
   * After that many tries something sits in the kernel where no signal reaches it; the exit is told nevertheless. But
   * what it has open is nothing to start another one upon.
   */
  if (!cgroup_populated(&monitor->plan)) return true;
  return monitor->ending_tries > ENDING_TRIES && !restart_wanted(monitor, process->exit_code);
}

static bool is_known(const struct monitor *monitor, pid_t pid) {
  if (pid == monitor->main.pid || pid == monitor->main.stage) return true;
  for (size_t i = 0; i < monitor->peer_count; i++)
    if (pid == monitor->peers[i].process.pid || pid == monitor->peers[i].process.stage) return true;
  return false;
}

/* Is there a stage process that may still tell of a child it cloned? */
static bool is_staging(const struct monitor *monitor) {
  if (monitor->main.stage > 0) return true;
  for (size_t i = 0; i < monitor->peer_count; i++)
    if (monitor->peers[i].process.stage > 0) return true;
  return false;
}

/*
 * A stage that is killed between its clone and its word of it leaves a child of ours that nobody here knows. It must be
 * reaped all the same: pid 1 of a namespace can't end before all others in it are (pid_namespaces(7)). Not while a stage
 * lives: its child may be dead before we have read of it, and a pid that was reaped can be another's by then.
 */
static void reap_strays(const struct monitor *monitor) {
  while (!is_staging(monitor)) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0) return;
    /* Its own descriptor tells of it, or has told; what stands behind it in the list has its turn then. */
    if (is_known(monitor, info.si_pid)) return;
    waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
  }
}

static void step(struct monitor *monitor) {
  reap_strays(monitor);
  peer_forget_closed(monitor);
  bool nobody = !peer_owned(monitor);
  if (!monitor->ending && nobody && (monitor->plan.lifetime == LIFETIME_BOUND || !monitor->announced)) {
    restart_forbid(monitor, false);
    monitor_end(monitor);
  }
  restart_when_due(monitor);
  if (!monitor->ending && process_reap(&monitor->main)) {
    /* pid 1 mostly takes all with it; then there is nothing to kill. */
    if (cgroup_populated(&monitor->plan)) monitor_end(monitor);
    else monitor->ending = true;
  }
  health_step(monitor);
  if (log_demands_end(&monitor->log) && !monitor->ending) {
    /* Its next run would find the log no emptier. */
    restart_forbid(monitor, false);
    monitor_end(monitor);
  }
  if (!monitor->ending) return;
  process_reap(&monitor->main);
  /* By pid: one that was dead before it had a descriptor has none that could tell. */
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (peer->is_exec && !peer->process.dead && process_reap(&peer->process)) peer_process_ended(peer);
  }
  if (is_over(monitor)) {
    monitor_conclude(monitor);
    return;
  }
  if (monitor->ending_tries++ > 0) {
    cgroup_signal(&monitor->plan, SIGKILL);
    for (size_t i = 0; i < monitor->peer_count; i++)
      if (monitor->peers[i].is_exec) process_kill(&monitor->peers[i].process, SIGKILL);
  }
}

/* How long nothing is to be done unless something happens; -1: for ever. */
static int64_t next_due(struct monitor *monitor) {
  const int64_t dues[] = {peer_tell_losses(monitor), restart_timeout(monitor), health_timeout(monitor)};
  int64_t next = -1;
  for (size_t i = 0; i < array_length(dues); i++)
    if (dues[i] >= 0 && (next < 0 || dues[i] < next)) next = dues[i];
  return next;
}

static void watch(struct monitor *monitor) {
  enum { FIXED = POLLED_FIXED, TRIES_OF_A_SLOW_END = 100 };
  size_t peers = monitor->peer_count, others = FIXED + POLLED_PER_PEER * peers;
  size_t count = others + consoles_polled(monitor);
  struct pollfd *polled = room_to_poll(monitor, count);
  if (!polled) {
    poll(NULL, 0, 10); /* memory may come back */
    return;
  }
  polled[0] = (struct pollfd){.fd = monitor->signals, .events = POLLIN};
  /* An end takes milliseconds, and newcomers are better told of it as a whole; unless the kernel doesn't let it die. */
  bool listens = monitor->announced && (!monitor->ending || monitor->ending_tries > TRIES_OF_A_SLOW_END);
  polled[1] = (struct pollfd){.fd = listens ? monitor->listener : -1, .events = POLLIN};
  polled[2] = (struct pollfd){.fd = monitor->main.link, .events = POLLIN};
  polled[3] = (struct pollfd){.fd = monitor->main.pidfd, .events = POLLIN};
  polled[4] = (struct pollfd){.fd = health_output(monitor), .events = POLLIN};
  for (size_t i = 0; i < peers; i++) {
    const struct peer *peer = &monitor->peers[i];
    /* While the stage reads the plan from an exec's stream, what comes there is none of our business, but its end is. */
    bool reads = !peer->is_exec || peer->process.pid > 0;
    polled[FIXED + POLLED_PER_PEER * i] = (struct pollfd){.fd = peer->fd, .events = reads ? POLLIN : 0};
    polled[FIXED + POLLED_PER_PEER * i + 1] = (struct pollfd){.fd = peer->process.link, .events = POLLIN};
    polled[FIXED + POLLED_PER_PEER * i + 2] = (struct pollfd){.fd = peer->process.pidfd, .events = POLLIN};
  }
  consoles_watch(monitor, polled + others);
  int tries = monitor->ending ? monitor->ending_tries : monitor->freezing_tries;
  int64_t timeout = monitor->ending || monitor->freezing >= 0 ? (tries < 20 ? 1 : 10) : next_due(monitor);
  if (clock_poll(polled, count, timeout) < 0) return;

  if (monitor->polled[0].revents) {
    struct signalfd_siginfo info;
    while (read(monitor->signals, &info, sizeof(info)) > 0)
      if (info.ssi_signo != SIGCHLD) {
        restart_forbid(monitor, false);
        monitor_end(monitor);
      }
  }
  hear_start(monitor);
  if (monitor->polled[4].revents) health_read(monitor);
  consoles_serve(monitor, monitor->polled + others);
  /* By index, not by pointer: an exec adds a peer, and both arrays may move. */
  for (size_t i = 0; i < peers; i++) {
    const size_t at = FIXED + POLLED_PER_PEER * i;
    if (monitor->polled[at + 1].revents) peer_process_spoke(&monitor->peers[i]);
    if (monitor->polled[at + 2].revents && process_reap(&monitor->peers[i].process))
      peer_process_ended(&monitor->peers[i]);
    if (monitor->peers[i].fd < 0 || !monitor->polled[at].revents) continue;
    if (monitor->polled[at].events) peer_receive(monitor, &monitor->peers[i]);
    else peer_close(&monitor->peers[i]);
  }
  if (monitor->polled[1].revents) peer_accept(monitor);
  peer_check_frozen(monitor);
}

static size_t plan_streams(const struct plan *plan) {
  size_t streams = 0;
  for (size_t i = 0; i < array_length(plan->stdio); i++) streams += plan->stdio[i] == STDIO_PASS;
  return streams;
}

_Noreturn void monitor_main(int stream, const int *passed, size_t count, struct slot *slot) {
  static struct monitor monitor = {.listener = -1, .freezing = -1};
  process_clear(&monitor.main);
  monitor.slot = slot;
  become_own(&monitor);
  struct failure failure = {.stage = STAGE_PLAN};
  size_t size;
  void *bytes = receive_plan(stream, &size);
  errno = EINVAL;
  bool decoded = bytes && plan_decode(&monitor.plan, bytes, size);
  struct peer *owner = decoded ? peer_add(&monitor, stream, false) : NULL;
  if (!owner) {
    fail(&failure, decoded ? "malloc" : "read");
    slot_discard(slot);
    /* Without any bytes the host is gone, and nobody hears it. */
    send_frame(stream, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
    _exit(0);
  }
  owner->is_owner = true;
  monitor.passed = passed;
  monitor.passed_count = count;
  size_t streams = plan_streams(&monitor.plan);
  monitor.streams = streams < count ? streams : count;
  if (start(&monitor, &failure) < 0) {
    monitor.failure = failure;
    monitor_end(&monitor);
  } else if (monitor.main.pid > 0) {
    monitor_release(&monitor);
  }
  /* One that is started again has the same streams. */
  for (size_t i = 0; i < monitor.streams && monitor.plan.restart == RESTART_NEVER; i++) close(passed[i]);
  for (;;) {
    step(&monitor);
    watch(&monitor);
  }
}
