#include "health.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "clock.h"
#include "health_file.h"
#include "journal.h"
#include "monitor.h"
#include "stream.h"

enum { READ_CHUNK = 16 * 1024, READ_CHUNKS = 16 };
enum { MOST_WAITING = 64 * 1024 }; /* bytes that a host has not read yet */

/* Not of a process: it took too long, or was killed. */
enum { NO_EXIT_CODE = -1 };

static const char *const words[] = {
    [HEALTH_STARTING] = "starting", [HEALTH_HEALTHY] = "healthy", [HEALTH_UNHEALTHY] = "unhealthy"};

bool health_tell(const struct monitor *monitor, int socket) {
  const struct health *health = monitor->health;
  return !health || send_frame(socket, FRAME_HEALTH, &health->state, sizeof(health->state), NULL, 0);
}

/*
 * One who doesn't read for a while gets the newest with a later check. His socket has room for some two hundred KiB, a state
 * takes four of them, and when there is none left for what must be told he counts as dead.
 */
static bool lags(const struct peer *peer) {
  int waiting = 0;
  return ioctl(peer->fd, SIOCOUTQ, &waiting) == 0 && waiting > MOST_WAITING;
}

/* Those who asked for this check are told in any case. */
static void publish(struct monitor *monitor) {
  const struct health *health = monitor->health;
  health_file_write(monitor->plan.health.file, &health->state);
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (peer->is_exec || peer->fd < 0) continue;
    bool asked = peer->asked_check != 0 && peer->asked_check <= health->number;
    if ((asked || !lags(peer)) && !health_tell(monitor, peer->fd)) peer_close(peer);
  }
}

/* Answer those whose check this was: up to that number. */
static void answer_askers(struct monitor *monitor, uint64_t number, int error) {
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (peer->asked_check == 0 || peer->asked_check > number) continue;
    uint32_t answer[2] = {peer->asked_id, (uint32_t)error};
    peer->asked_check = 0;
    if (peer->fd >= 0 && !send_frame(peer->fd, FRAME_ANSWER, answer, sizeof(answer), NULL, 0)) peer_close(peer);
  }
}

static bool is_asked(const struct monitor *monitor) {
  for (size_t i = 0; i < monitor->peer_count; i++)
    if (monitor->peers[i].asked_check != 0 && monitor->peers[i].fd >= 0) return true;
  return false;
}

void health_begin(struct monitor *monitor, bool restored) {
  const struct health_plan *plan = &monitor->plan.health;
  if (!plan->file || plan->when_restored != restored) return;
  if (!monitor->health) monitor->health = calloc(1, sizeof(*monitor->health));
  struct health *health = monitor->health;
  if (!health) return;
  /* The results stay: they tell why it was started again. */
  health->state.status = HEALTH_STARTING;
  health->state.streak = 0;
  health->active = true;
  health->running = health->postponed = false;
  health->kill_at = 0;
  health->output = -1;
  health->began = health->due = clock_ms();
  publish(monitor);
}

void health_end(struct monitor *monitor) {
  struct health *health = monitor->health;
  if (!health) return;
  close_fd(&health->output);
  health->active = health->running = false;
  answer_askers(monitor, UINT64_MAX, ESRCH);
}

/*
 * The container's plan, as far as a check goes: its cgroup is one below. Each has another, as one that was killed by
 * cgroup.kill is good for nothing more (cgroup.c). False: the container has no cgroup2.
 */
static bool own_cgroup(const struct monitor *monitor, uint64_t number, struct plan *plan, char path[PATH_MAX]) {
  *plan = monitor->plan;
  if (!plan->unified || !plan->into) return false;
  int size = snprintf(path, PATH_MAX, "%s/podling.health.%" PRIu64, plan->unified, number);
  if (size < 0 || size >= PATH_MAX) return false;
  plan->unified = plan->into = path;
  plan->freezer = NULL; /* that is the container's */
  plan->restart = RESTART_NEVER; /* so is that: nothing begins in this cgroup again */
  return true;
}

/* What is dying is in its way still; then it goes before the next check, or with the container. */
static void remove_cgroup(const struct monitor *monitor, uint64_t number) {
  char path[PATH_MAX];
  struct plan plan;
  if (own_cgroup(monitor, number, &plan, path)) rmdir(path);
}

/* Kill all that the check has started, wherever that went. */
static void kill_check(struct monitor *monitor) {
  char path[PATH_MAX];
  struct plan plan;
  bool owns = own_cgroup(monitor, monitor->health->number, &plan, path);
  if (owns) cgroup_signal(&plan, SIGKILL);
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (!peer->check) continue;
    /* It leads a session; of what left that, nothing is known without cgroup2. */
    if (!owns && peer->process.pid > 0 && !peer->process.dead) kill(-peer->process.pid, SIGKILL);
    process_kill(&peer->process, SIGKILL);
  }
}

static void begin_check(struct monitor *monitor, uint64_t now) {
  struct health *health = monitor->health;
  struct failure failure = {0};
  char path[PATH_MAX];
  struct plan plan;
  int ends[2] = {-1, -1};
  struct peer *peer = peer_add(monitor, -1, true);
  if (!peer || make_stream(&monitor->plan, ends, &failure) < 0) {
    /* Memory or descriptors may come back. */
    if (peer) peer->process.dead = true;
    health->due = now + monitor->plan.health.interval;
    return;
  }
  peer->check = health;
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  health->output = ends[0];
  health->running = true;
  health->ended = health->late = health->postponed = false;
  health->number++;
  health->expires = now + monitor->plan.health.timeout;
  health->result = (struct health_result){.start = now_ms(), .exit_code = NO_EXIT_CODE};
  remove_cgroup(monitor, health->number - 1);
  if (own_cgroup(monitor, health->number, &plan, path)) mkdir(path, 0755);
  const int passed[] = {ends[1], ends[1]};
  if (process_enter(&peer->process, &plan, &monitor->main, -1, &monitor->plan.health.check, passed,
                    array_length(passed), &failure) < 0) {
    peer->process.failure = failure;
    /* The end of its link is heard as any other's; where there is none, this is all. */
    peer->process.dead = peer->process.link < 0;
    if (peer->process.dead) health_ended(health, &peer->process);
  }
  close_fd(&ends[1]);
}

int health_output(const struct monitor *monitor) {
  return monitor->health && monitor->health->running ? monitor->health->output : -1;
}

/* Of what it writes the beginning is kept. False: there is no more of it now. */
static bool read_chunk(struct health *health) {
  static char chunk[READ_CHUNK];
  struct health_result *result = &health->result;
  ssize_t got = read(health->output, chunk, sizeof(chunk));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    close_fd(&health->output);
    return false;
  }
  size_t room = sizeof(result->output) - result->size, kept = (size_t)got < room ? (size_t)got : room;
  memcpy(result->output + result->size, chunk, kept);
  result->size += (uint32_t)kept;
  return true;
}

void health_read(struct monitor *monitor) {
  struct health *health = monitor->health;
  for (int chunks = 0; chunks < READ_CHUNKS && health->output >= 0; chunks++)
    if (!read_chunk(health)) break;
}

static void say(struct health_result *result, const char *text) {
  size_t size = strlen(text), room = sizeof(result->output) - result->size;
  if (size > room) size = room;
  memcpy(result->output + result->size, text, size);
  result->size += (uint32_t)size;
}

void health_ended(struct health *health, const struct process *process) {
  struct health_result *result = &health->result;
  health->ended = true;
  if (health->late) return;
  if (process->started) {
    result->exit_code = (int32_t)process->exit_code;
    return;
  }
  /* As of the container's own command. */
  const struct failure *failure = &process->failure;
  result->exit_code = (int32_t)exit_code_of(failure);
  char text[128];
  snprintf(text, sizeof(text), "%s: %s", failure->stage ? failure->syscall : "killed",
           failure->stage ? strerror((int)failure->error) : "before it ran");
  say(result, text);
}

/*
 * Pid 1 takes all in its pid namespace along before its own end can be seen (pid_namespaces(7)): a check that fails by that
 * tells nothing of health. Its flags in proc_pid_stat(5) say so; the name before them may hold parentheses itself.
 */
static bool is_exiting(const struct monitor *monitor) {
  enum { EXITING = 0x4 }; /* PF_EXITING */
  char path[64], text[512];
  snprintf(path, sizeof(path), "/proc/%d/stat", monitor->main.pid);
  if (read_file_at(AT_FDCWD, path, text, sizeof(text)) < 0) return true;
  const char *rest = strrchr(text, ')');
  unsigned flags = 0;
  return !rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1 || flags & EXITING;
}

static bool in_start_period(const struct monitor *monitor, uint64_t now) {
  const struct health *health = monitor->health;
  return health->state.status == HEALTH_STARTING && now - health->began < monitor->plan.health.start_period;
}

static void push(struct health_state *state, const struct health_result *result) {
  if (state->count == HEALTH_RESULTS)
    memmove(state->results, state->results + 1, (HEALTH_RESULTS - 1) * sizeof(state->results[0]));
  else state->count++;
  state->results[state->count - 1] = *result;
}

/* What follows when it has become unhealthy. */
static void act(struct monitor *monitor, uint64_t now) {
  const struct health_plan *plan = &monitor->plan.health;
  switch (plan->action) {
    case HEALTH_KILL: monitor_end(monitor); return;
    case HEALTH_STOP: restart_forbid(monitor, false); break;
    case HEALTH_RESTART:
      if (monitor->plan.restart == RESTART_NEVER) restart_forbid(monitor, false);
      else monitor->restart.forced = true;
      break;
    default: return;
  }
  monitor->health->kill_at = now + plan->stop_timeout;
  if (monitor->main.pidfd >= 0) sys_pidfd_send_signal(monitor->main.pidfd, (int)plan->stop_signal);
}

static void conclude(struct monitor *monitor, uint64_t now) {
  struct health *health = monitor->health;
  struct health_state *state = &health->state;
  uint32_t before = state->status;
  bool excused = in_start_period(monitor, now);
  health->result.end = now_ms();
  push(state, &health->result);
  if (health->result.exit_code == 0) {
    state->streak = 0;
    state->status = HEALTH_HEALTHY;
  } else if (!excused && ++state->streak >= monitor->plan.health.retries) {
    state->status = HEALTH_UNHEALTHY;
  }
  uint64_t pause = in_start_period(monitor, now) ? monitor->plan.health.start_interval : monitor->plan.health.interval;
  health->due = now + pause;
  /* Whoever hears of it finds it in the journal. */
  if (state->status != before) {
    char members[48];
    snprintf(members, sizeof(members), ",\"health\":\"%s\"", words[state->status]);
    journal_write(&monitor->plan, "health_status", members);
  }
  publish(monitor);
  answer_askers(monitor, health->number, 0);
  if (is_asked(monitor)) health->due = now;
  if (state->status != before && state->status == HEALTH_UNHEALTHY) act(monitor, now);
}

/* It is dead: whatever else it has started goes with it. */
static void finish(struct monitor *monitor, uint64_t now) {
  struct health *health = monitor->health;
  if (!health->late) health_read(monitor);
  close_fd(&health->output);
  kill_check(monitor);
  remove_cgroup(monitor, health->number);
  health->running = false;
  if (health->late) return;
  if (health->result.exit_code != 0 && is_exiting(monitor)) health->active = false;
  else conclude(monitor, now);
}

/* Told at once: one that sits in the kernel may be long in dying, and no other begins before. */
static void give_up(struct monitor *monitor, uint64_t now) {
  struct health *health = monitor->health;
  if (cgroup_is(&monitor->plan, true)) {
    health->expires = now + monitor->plan.health.timeout;
    return;
  }
  health_read(monitor);
  health->late = true;
  kill_check(monitor);
  char text[64];
  snprintf(text, sizeof(text), "%stimed out after %" PRIu64 " ms", health->result.size > 0 ? "\n" : "",
           monitor->plan.health.timeout);
  say(&health->result, text);
  conclude(monitor, now);
}

void health_step(struct monitor *monitor) {
  struct health *health = monitor->health;
  if (!health || !health->active || monitor->ending) return;
  uint64_t now = clock_ms();
  if (health->running && health->ended) finish(monitor, now);
  else if (health->running && !health->late && now >= health->expires) give_up(monitor, now);
  if (monitor->ending || !health->active) return;
  if (health->kill_at != 0) {
    if (now < health->kill_at) return;
    health->active = false;
    monitor_end(monitor);
    return;
  }
  if (health->running || now < health->due) return;
  if (cgroup_is(&monitor->plan, true)) {
    health->postponed = true;
    health->due = now + monitor->plan.health.interval;
    return;
  }
  begin_check(monitor, now);
}

int64_t health_timeout(const struct monitor *monitor) {
  const struct health *health = monitor->health;
  if (!health || !health->active || monitor->ending) return -1;
  if (health->running && (health->late || health->ended)) return health->ended ? 0 : -1;
  uint64_t now = clock_ms(), next = health->running ? health->expires : health->due;
  if (health->kill_at != 0 && (!health->running || health->kill_at < next)) next = health->kill_at;
  return next > now ? (int64_t)(next - now) : 0;
}

void health_thawed(struct monitor *monitor) {
  struct health *health = monitor->health;
  if (!health) return;
  if (health->postponed) health->due = clock_ms();
  health->postponed = false;
}

void health_ask(struct monitor *monitor, struct peer *peer, uint32_t id) {
  struct health *health = monitor->health;
  bool possible = health && health->active && health->kill_at == 0 && !monitor->ending;
  if (!possible || peer->asked_check != 0) {
    uint32_t answer[2] = {id, possible ? EBUSY : ESRCH};
    if (!send_frame(peer->fd, FRAME_ANSWER, answer, sizeof(answer), NULL, 0)) peer_close(peer);
    return;
  }
  peer->asked_id = id;
  peer->asked_check = health->number + 1;
  if (!health->running) health->due = clock_ms();
}
