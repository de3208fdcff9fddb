/* The monitor's connections, and what is told over them. */
#include <signal.h>
#include <stdlib.h>

#include "monitor.h"

struct peer *peer_add(struct monitor *monitor, int fd, bool is_exec) {
  if (monitor->peer_count == monitor->peer_room) {
    size_t room = monitor->peer_room ? monitor->peer_room * 2 : 4;
    struct peer *peers = realloc(monitor->peers, room * sizeof(*peers));
    if (!peers) return NULL;
    monitor->peers = peers;
    monitor->peer_room = room;
  }
  struct peer *peer = &monitor->peers[monitor->peer_count++];
  *peer = (struct peer){.fd = fd, .is_exec = is_exec};
  process_clear(&peer->process);
  return peer;
}

void peer_close(struct peer *peer) {
  close_fd(&peer->fd);
  /* Whoever asked for the exec is gone, and with it the ends of its pipes. */
  if (peer->is_exec && !peer->process.dead) process_kill(&peer->process, SIGKILL);
}

/* May move the peers: pointers to them end here. */
void peer_forget_closed(struct monitor *monitor) {
  size_t kept = 0;
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    bool lives = peer->is_exec && (peer->process.link >= 0 || (peer->process.pid > 0 && !peer->process.dead) ||
                                   console_open(&peer->process.console));
    if (peer->fd < 0 && !lives) {
      free(peer->process.identity);
      console_close(&peer->process.console);
    } else monitor->peers[kept++] = *peer;
  }
  monitor->peer_count = kept;
}

bool peer_owned(const struct monitor *monitor) {
  for (size_t i = 0; i < monitor->peer_count; i++)
    if (monitor->peers[i].is_owner && monitor->peers[i].fd >= 0) return true;
  return false;
}

bool monitor_announce(const struct monitor *monitor, int socket, enum frame_kind kind, bool frozen) {
  const struct process *process = &monitor->main;
  struct started_head head = process_head(process);
  head.restarts = monitor->restart.count;
  head.frozen = frozen;
  return send_frame(socket, kind, &head, sizeof(head), process->identity, process->identity_size);
}

void monitor_tell_all(struct monitor *monitor, enum frame_kind kind) {
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct peer *peer = &monitor->peers[i];
    if (!peer->is_exec && peer->fd >= 0 && !monitor_announce(monitor, peer->fd, kind, false)) peer_close(peer);
  }
}
