/*
 * The responder for the names of one network: a process of the host's network namespace that listens at the host's own
 * addresses on the network, answers for its containers, and asks the host's resolvers for the rest.
 *
 * What it knows stands in files, one for each container, which hosts write whole and rename into its directory; inotify(7)
 * tells of them. Each names a process, and lasts as long as that lives (pidfd_open(2)), whoever else has died by then. So
 * nothing has to be cleaned up, and a responder that was killed is made again without loss.
 *
 * There is one for a network, since only one can have the abstract unix(7) address NAME. Hosts connect to it; it ends when
 * neither a host is connected nor a container alive.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/un.h>

#include "dns_sandbox.h"
#include "dns_server.h"

enum { REPORT_FD = 3, BACKLOG = 64, EVENTS = 32 };

static int open_control(struct dns_server *server, const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(name);
  if (length + 1 > sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path + 1, name, length);
  autoclose int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) return -1;
  server->control = steal_fd(&fd);
  return 0;
}

static int begin_control(struct dns_server *server) {
  if (listen(server->control, BACKLOG) < 0) return -1;
  return dns_listen_to(server, server->control, DNS_FROM_CONTROL, 0, EPOLLIN) ? 0 : -1;
}

/*
 * Nobody is left. A host may have written an entry just before it looked for us; so look again once nobody can find us any
 * more, and stay when there is one, unless another has begun in our place.
 */
static bool may_end(struct dns_server *server, const char *name) {
  if (server->hosts > 0 || server->entries) return false;
  close_fd(&server->control);
  dns_take_changes(server);
  if (!server->entries) return true;
  return open_control(server, name) < 0 || begin_control(server) < 0;
}

static bool tell_ports(struct dns_server *server, int fd) {
  char line[DNS_LISTENERS * (INET6_ADDRSTRLEN + 16)];
  size_t size = 0;
  for (size_t i = 0; i < server->listener_count; i++) {
    struct dns_listener *listener = &server->listeners[i];
    int length = snprintf(line + size, sizeof(line) - size, "%s%s=%u", i == 0 ? "" : " ", listener->text,
                          ntohs(*dns_peer_port(&listener->address)));
    if (length < 0 || (size += (size_t)length) >= sizeof(line) - 1) return false;
  }
  line[size++] = '\n';
  return send(fd, line, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static void take_host(struct dns_server *server) {
  autoclose int fd = accept4(server->control, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 || !tell_ports(server, fd) || !dns_listen_to(server, fd, DNS_FROM_HOST, (size_t)fd, EPOLLIN)) return;
  steal_fd(&fd);
  server->hosts++;
}

static void take_event(struct dns_server *server, const struct epoll_event *event) {
  enum dns_source source = (enum dns_source)(event->data.u64 >> 32);
  size_t index = (uint32_t)event->data.u64;
  switch (source) {
    case DNS_FROM_UDP: dns_udp_question(server, index); return;
    case DNS_FROM_TCP: dns_tcp_accept(server, index); return;
    case DNS_FROM_WATCH: dns_take_changes(server); return;
    case DNS_FROM_CONTROL: take_host(server); return;
    case DNS_FROM_HOST: /* It has nothing to say; it ends. */
      close((int)index);
      server->hosts--;
      return;
    case DNS_FROM_PROCESS: dns_forget_process(server, (int)index); return;
    case DNS_FROM_RESOLVER: dns_udp_answer(server, index); return;
    case DNS_FROM_CLIENT: dns_tcp_client(server, index, event->events); return;
    case DNS_FROM_CLIENT_RESOLVER: dns_tcp_resolver(server, index, event->events); return;
  }
}

static int serve(struct dns_server *server, const char *name) {
  while (!may_end(server, name)) {
    int udp = dns_udp_expire(server), tcp = dns_tcp_expire(server);
    struct epoll_event events[EVENTS];
    int count = epoll_wait(server->epoll, events, EVENTS, udp < 0 || (tcp >= 0 && tcp < udp) ? tcp : udp);
    if (count < 0 && errno != EINTR) return 1;
    for (int i = 0; i < count; i++) take_event(server, &events[i]);
  }
  return 0;
}

static int failed(const char *what, const char *about) {
  dprintf(REPORT_FD, "failed %d %s %s\n", errno, what, about);
  return 1;
}

/* The file itself may come, and be another one. */
static int open_resolv_conf(struct dns_server *server, const char *path) {
  const char *slash = strrchr(path, '/');
  char directory[PATH_MAX];
  snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
  server->resolv_directory = open(directory[0] == '\0' ? "/" : directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
  server->resolv_conf = slash ? slash + 1 : path;
  return server->resolv_directory;
}

int dns_main(char *const *arguments, size_t count) {
  static struct dns_server server = {.control = -1, .names = -1, .proc = -1, .watch = -1};
  const char *name = arguments[0], *directory = arguments[1];
  sys_close_range(REPORT_FD + 1, ~0U, 0);
  setsid();
  if (chdir("/") < 0) return 1;
  prctl(PR_SET_NAME, "podling-dns");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  server.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (server.epoll < 0) return failed("epoll_create1", "");
  if (open_control(&server, name) < 0) {
    if (errno != EADDRINUSE) return failed("bind", name);
    dprintf(REPORT_FD, "busy\n");
    return 0;
  }
  if (strcmp(arguments[2], "-") != 0 && open_resolv_conf(&server, arguments[2]) < 0) return failed("open", arguments[2]);
  if (dns_open_names(&server, directory) < 0) return failed("open", directory);
  for (size_t i = 4; i < count; i++) {
    if (dns_add_listener(&server, arguments[i], strcmp(arguments[3], "movable") == 0) < 0) return failed("bind", arguments[i]);
  }
  dns_learn_all(&server);
  if (begin_control(&server) < 0) return failed("listen", name);
  if (dns_enter_sandbox() < 0) return failed("prctl", "");
  dprintf(REPORT_FD, "ready\n");
  close(REPORT_FD);
  return serve(&server, name);
}
