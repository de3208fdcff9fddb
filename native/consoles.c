/* The consoles of a monitor: that of pid 1 and that of each exec, in this order. */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "monitor.h"

static bool consoles_open(const struct monitor *monitor) {
  bool open = console_open(&monitor->main.console);
  for (size_t i = 0; i < monitor->peer_count; i++) open = open || console_open(&monitor->peers[i].process.console);
  return open;
}

size_t consoles_polled(const struct monitor *monitor) {
  size_t count = console_polled(&monitor->main.console);
  for (size_t i = 0; i < monitor->peer_count; i++) count += console_polled(&monitor->peers[i].process.console);
  return count;
}

void consoles_watch(const struct monitor *monitor, struct pollfd *polled) {
  console_watch(&monitor->main.console, polled);
  for (size_t i = 0; i < monitor->peer_count; i++) {
    polled += console_polled(i == 0 ? &monitor->main.console : &monitor->peers[i - 1].process.console);
    console_watch(&monitor->peers[i].process.console, polled);
  }
}

void consoles_serve(struct monitor *monitor, const struct pollfd *polled) {
  size_t size = console_polled(&monitor->main.console);
  console_serve(&monitor->main.console, polled, &monitor->log);
  for (size_t i = 0; i < monitor->peer_count; i++) {
    struct console *console = &monitor->peers[i].process.console;
    polled += size;
    size = console_polled(console);
    console_serve(console, polled, NULL);
  }
}

struct pollfd *room_to_poll(struct monitor *monitor, size_t count) {
  if (count <= monitor->polled_room) return monitor->polled;
  struct pollfd *polled = realloc(monitor->polled, 2 * count * sizeof(*polled));
  if (!polled) return NULL;
  monitor->polled = polled;
  monitor->polled_room = 2 * count;
  return polled;
}

void consoles_linger(struct monitor *monitor) {
  for (size_t i = 0; i < monitor->peer_count; i++) close_fd(&monitor->peers[i].fd);
  close_fd(&monitor->listener);
  while (consoles_open(monitor)) {
    size_t count = 1 + consoles_polled(monitor);
    struct pollfd *polled = room_to_poll(monitor, count);
    if (!polled) return;
    polled[0] = (struct pollfd){.fd = monitor->signals, .events = POLLIN};
    consoles_watch(monitor, polled + 1);
    if (poll(polled, count, -1) < 0) continue;
    struct signalfd_siginfo info;
    while (read(monitor->signals, &info, sizeof(info)) > 0)
      if (info.ssi_signo != SIGCHLD) return;
    consoles_serve(monitor, polled + 1);
  }
}
