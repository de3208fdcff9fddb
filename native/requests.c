/* What hosts ask of the monitor. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "clock.h"
#include "monitor.h"
#include "restored.h"

enum {
  FREEZE_TRIES = 2000, /* of a millisecond or more each */
  LOSSES_EVERY = 1000, /* ms: a host that is told too much falls behind, which ends a bound container */
};

void peer_accept(struct monitor *monitor) {
  autoclose int fd = accept4(monitor->listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  /* The socket's mode keeps others out already; but the directory is the host's choice, and descriptors travel. */
  struct ucred peer;
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return;
  if (peer.uid != 0 && peer.uid != geteuid()) return;
  bool told = monitor->restart.waiting
                  ? restart_announce(monitor, fd)
                  : monitor_announce(monitor, fd, FRAME_STARTED, cgroup_is(&monitor->plan, true));
  if (!told) return;
  if (!health_tell(monitor, fd)) return;
  uint64_t lost = monitor->log.lost_lines;
  if (lost > 0 && !send_frame(fd, FRAME_LOST_LINES, &lost, sizeof(lost), NULL, 0)) return;
  if (peer_add(monitor, fd, false)) fd = -1;
}

static void answer(struct peer *peer, uint32_t id, int error) {
  uint32_t words[2] = {id, (uint32_t)error};
  if (!send_frame(peer->fd, FRAME_ANSWER, words, sizeof(words), NULL, 0)) peer_close(peer);
}

static uint64_t pipe_inode(int fd) {
  struct stat status;
  return fd >= 0 && fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) ? status.st_ino : 0;
}

static void tell_streams(const struct monitor *monitor, struct peer *peer, uint32_t id) {
  const struct console *console = &monitor->main.console;
  uint32_t words[2] = {id, 0};
  struct stream_inodes streams = {
      .input = pipe_inode(console->input),
      .output = pipe_inode(console->outputs[0]),
      .error = pipe_inode(console->outputs[1]),
  };
  if (!send_frame(peer->fd, FRAME_ANSWER, words, sizeof(words), &streams, sizeof(streams))) peer_close(peer);
}

static int signal_main(struct monitor *monitor, int signal) {
  if (monitor->main.dead || monitor->main.pidfd < 0) return ESRCH;
  return sys_pidfd_send_signal(monitor->main.pidfd, signal) < 0 ? errno : 0;
}

static int do_kill(struct monitor *monitor, struct peer *peer, const struct request *request) {
  int signal = (int)request->first;
  if (peer->is_exec) {
    if (peer->process.dead || peer->process.pidfd < 0) return ESRCH;
    return sys_pidfd_send_signal(peer->process.pidfd, signal) < 0 ? errno : 0;
  }
  if (request->second & KILL_FOR_GOOD) {
    restart_forbid(monitor, true);
    /* Between two runs there is nothing that could take a signal. */
    if (monitor->restart.waiting) {
      monitor_end(monitor);
      return 0;
    }
  }
  if (!(request->second & KILL_ALL)) return signal_main(monitor, signal);
  cgroup_signal(&monitor->plan, signal);
  /* It may have no cgroup at all; and pid 1 takes its pid namespace with it. */
  return signal == SIGKILL || !monitor->plan.unified ? signal_main(monitor, signal) : 0;
}

static int do_resize(struct monitor *monitor, struct peer *peer, const struct request *request) {
  struct process *process = peer->is_exec ? &peer->process : &monitor->main;
  return process->dead ? ESRCH : console_resize(&process->console, request->first, request->second);
}

static int do_attach(struct monitor *monitor, const struct request *request, int *fds, size_t count) {
  if (monitor->main.dead || monitor->ending) return ESRCH;
  return console_attach(&monitor->main.console, request->first == 1, fds, count);
}

static void do_exec(struct monitor *monitor, bool terminal, int fds[REQUEST_FDS], size_t count) {
  struct failure failure = {.stage = STAGE_ENDED};
  struct peer *peer = peer_add(monitor, fds[0], true);
  if (!peer) {
    close(fds[0]);
    return;
  }
  bool lives = monitor->main.started && !monitor->main.dead && !monitor->ending;
  int error = lives ? 0 : ESRCH;
  if (lives && terminal) {
    struct console *console = &peer->process.console;
    console->awaited = console->types_end = true;
    failure.stage = STAGE_STDIO;
    error = console_attach(console, true, fds + 1, count - 1);
    count = 1;
  }
  errno = error;
  if (error != 0) fail(&failure, lives ? "recvmsg" : "setns");
  else if (process_enter(&peer->process, &monitor->plan, &monitor->main, peer->fd, NULL, fds + 1, count - 1, &failure) == 0)
    return;
  send_frame(peer->fd, FRAME_FAILED, &failure, sizeof(failure), NULL, 0);
  close_fd(&peer->fd);
  console_close(&peer->process.console);
}

static void do_freeze(struct monitor *monitor, struct peer *peer, const struct request *request) {
  if (monitor->freezing >= 0) return answer(peer, request->id, EBUSY);
  if (cgroup_freeze(&monitor->plan, request->first == 1) < 0) return answer(peer, request->id, errno);
  monitor->freezing = request->first == 1;
  monitor->freezing_id = request->id;
  monitor->freezing_fd = peer->fd;
  monitor->freezing_tries = 0;
  peer_check_frozen(monitor);
}

/* The kernel freezes each process when it next enters user space, so it takes a while. */
void peer_check_frozen(struct monitor *monitor) {
  if (monitor->freezing < 0) return;
  bool done = cgroup_is(&monitor->plan, monitor->freezing == 1);
  if (!done && monitor->freezing_tries++ < FREEZE_TRIES && !monitor->ending) return;
  uint32_t frozen = monitor->freezing == 1;
  for (size_t i = 0; i < monitor->peer_count && done; i++) {
    struct peer *peer = &monitor->peers[i];
    if (!peer->is_exec && peer->fd >= 0 && !send_frame(peer->fd, FRAME_FROZEN, &frozen, sizeof(frozen), NULL, 0))
      peer_close(peer);
  }
  for (size_t i = 0; i < monitor->peer_count; i++)
    if (!monitor->peers[i].is_exec && monitor->peers[i].fd == monitor->freezing_fd)
      answer(&monitor->peers[i], monitor->freezing_id, done ? 0 : EBUSY);
  if (done && !frozen) health_thawed(monitor);
  monitor->freezing = -1;
}

int peer_tell_losses(struct monitor *monitor) {
  uint64_t lost = monitor->log.lost_lines, now = now_ms();
  if (lost == monitor->told_losses) return -1;
  /* A clock that was set back makes nobody wait. */
  uint64_t since = now > monitor->told_at ? now - monitor->told_at : LOSSES_EVERY;
  if (since < LOSSES_EVERY) return (int)(LOSSES_EVERY - since);
  monitor->told_losses = lost;
  monitor->told_at = now;
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (!peer->is_exec && peer->fd >= 0 && !send_frame(peer->fd, FRAME_LOST_LINES, &lost, sizeof(lost), NULL, 0))
      peer_close(peer);
  }
  return -1;
}

void peer_receive(struct monitor *monitor, struct peer *peer) {
  struct request request;
  int fds[REQUEST_FDS];
  size_t count;
  int got = receive_request(peer->fd, &request, fds, &count);
  if (got <= 0) {
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    /* An exec too many is refused; to drop its sender would be to end the container. */
    if (got < 0 && errno == EMFILE) {
      answer(peer, request.id, EMFILE);
      return;
    }
    peer_close(peer);
    return;
  }
  switch (request.kind) {
    case REQUEST_KILL: answer(peer, request.id, do_kill(monitor, peer, &request)); break;
    case REQUEST_PROCEED:
      if (monitor->ready) process_go_on(&monitor->main);
      answer(peer, request.id, monitor->ready ? 0 : EINVAL);
      monitor->ready = false;
      break;
    case REQUEST_FREEZE: do_freeze(monitor, peer, &request); break;
    case REQUEST_EXEC:
      if (!peer->is_exec && count > 0) {
        do_exec(monitor, request.first == 1, fds, count); /* takes fds[0], and may move the peers */
        fds[0] = -1;
        break;
      }
      answer(peer, request.id, EINVAL);
      break;
    case REQUEST_ATTACH:
      answer(peer, request.id, peer->is_exec ? EINVAL : do_attach(monitor, &request, fds, count));
      break;
    case REQUEST_HEALTH: health_ask(monitor, peer, request.id); break;
    case REQUEST_RESIZE: answer(peer, request.id, do_resize(monitor, peer, &request)); break;
    case REQUEST_RESTORED:
      answer(peer, request.id, restored_adopt(monitor, (pid_t)request.first, request.second, fds, count));
      break;
    case REQUEST_STREAMS: tell_streams(monitor, peer, request.id); break;
    default: answer(peer, request.id, ENOSYS); break;
  }
  for (size_t i = 0; i < count; i++) close_fd(&fds[i]);
}
