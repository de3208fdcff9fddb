#include "forward.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common.h"
#include "sandbox.h"

enum { EVENTS = 64, BACKLOG = 1024 };
enum { FIRST_PAUSE = 50, LONGEST_PAUSE = 5000 }; /* milliseconds */

struct port_source {
  struct forward_source source;
  struct forward_port port;
};

static struct forward_source stream_source = {.kind = FORWARD_STREAM};

bool forward_watch(const struct forward_loop *loop, int fd, struct forward_source *source, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void set_target(struct forward_port *port, const struct forward_target *target) {
  if (target->family == 4) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    memcpy(&address.sin_addr, target->address, sizeof(address.sin_addr));
    memcpy(&port->target, &address, port->target_size = sizeof(address));
  } else {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(target->port)};
    memcpy(&address.sin6_addr, target->address, sizeof(address.sin6_addr));
    memcpy(&port->target, &address, port->target_size = sizeof(address));
  }
}

/* Replies go out from the address that was asked, and on a host with several that has to be said. */
static int prepare_udp(int fd, int family) {
  /* The holder of a port takes nothing in (lib/network/held-ports.ts): back to what the kernel has for all. */
  int on = 1, size = 256 * 1024;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
  return family == 4 ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on))
                     : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

static int begin(struct forward_loop *loop, struct port_source *source, int fd, const struct forward_target *target) {
  source->source.kind = FORWARD_PORT;
  source->port.fd = fd;
  source->port.udp = target->protocol == 1;
  set_target(&source->port, target);
  if (source->port.udp ? prepare_udp(fd, target->family) < 0 : listen(fd, BACKLOG) < 0) return -1;
  return forward_watch(loop, fd, &source->source, EPOLLIN) ? 0 : -1;
}

static void more_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/* False: the stream has ended. */
static bool take(struct forward_loop *loop, const struct epoll_event *event) {
  struct forward_source *source = event->data.ptr;
  struct forward_port *port = &((struct port_source *)source)->port;
  switch (source->kind) {
    case FORWARD_STREAM: return false;
    case FORWARD_PORT:
      if (port->udp) forward_datagrams(loop, port);
      else if (!port->paused) forward_accept(loop, port);
      return true;
    case FORWARD_CONNECTION: forward_move(source); return true;
    case FORWARD_CLIENT: forward_replies(source); return true;
  }
  return true;
}

static void resume(struct forward_loop *loop, struct port_source *sources) {
  for (size_t i = 0; i < loop->port_count; i++) {
    struct forward_port *port = &sources[i].port;
    if (!port->paused) continue;
    port->paused = !forward_watch(loop, port->fd, &sources[i].source, EPOLLIN);
  }
}

static int serve(int stream, const int *sockets, const struct forward_target *targets, size_t count) {
  prctl(PR_SET_NAME, "podling-forward");
  more_descriptors();
  struct port_source *sources = calloc(count, sizeof(*sources));
  struct forward_loop loop = {.epoll = epoll_create1(EPOLL_CLOEXEC), .port_count = count};
  if (!sources || loop.epoll < 0 || forward_enter_sandbox() < 0) return 1;
  if (!forward_watch(&loop, stream, &stream_source, 0)) return 1;
  for (size_t i = 0; i < count; i++)
    if (begin(&loop, &sources[i], sockets[i], &targets[i]) < 0) return 1;
  bool busy = false;
  for (;;) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(loop.epoll, events, EVENTS, busy ? 0 : forward_expire());
    if (ready < 0 && errno != EINTR) return 1;
    for (int i = 0; i < ready; i++)
      if (!take(&loop, &events[i])) return 0;
    busy = forward_go_on();
    if (forward_sweep()) resume(&loop, sources);
  }
}

static bool ended(int stream, int process, int timeout) {
  struct pollfd fds[] = {{.fd = stream}, {.fd = process, .events = POLLIN}};
  while (poll(fds, 2, timeout) < 0 && errno == EINTR) continue;
  return fds[0].revents != 0;
}

int forward_main(int stream, const int *sockets, const struct forward_target *targets, size_t count) {
  prctl(PR_SET_NAME, "podling-ports");
  signal(SIGPIPE, SIG_IGN);
  if (sandbox_rights() < 0) return 1;
  for (int pause = FIRST_PAUSE;; pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE) {
    pid_t pid = fork();
    if (pid == 0) _exit(serve(stream, sockets, targets, count));
    autoclose int process = pid < 0 ? -1 : sys_pidfd_open(pid);
    if (process >= 0 && ended(stream, process, -1)) {
      sys_pidfd_send_signal(process, SIGKILL);
      return 0;
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
    if (ended(stream, -1, pause)) return 0;
  }
}
