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
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <time.h>

#include "dns_sandbox.h"
#include "dns_server.h"

enum { REPORT_FD = 3, PORT = 53, BACKLOG = 64, EVENTS = 32, PORT_PATIENCE_MS = 1000, MOVE_PATIENCE_MS = 100, MOVE_TRIES = 32 };

uint64_t dns_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool dns_listen_to(struct dns_server *server, int fd, enum dns_source source, size_t index, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)source << 32 | (uint32_t)index};
  return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool dns_listen_change(struct dns_server *server, int fd, enum dns_source source, size_t index, uint32_t events) {
  struct epoll_event event = {.events = events, .data.u64 = (uint64_t)source << 32 | (uint32_t)index};
  return epoll_ctl(server->epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

socklen_t dns_peer_size(const union dns_peer *peer) {
  return peer->any.sa_family == AF_INET ? sizeof(peer->four) : sizeof(peer->six);
}

const uint8_t *dns_peer_bytes(const union dns_peer *peer, size_t *size) {
  bool four = peer->any.sa_family == AF_INET;
  *size = four ? 4 : 16;
  return four ? (const uint8_t *)&peer->four.sin_addr : (const uint8_t *)&peer->six.sin6_addr;
}

/* Neighbours of the host may send packets to this address too; the answers are not for them. */
bool dns_may_ask(const struct dns_listener *listener, const union dns_peer *peer) {
  size_t size, own_size;
  const uint8_t *bytes = dns_peer_bytes(peer, &size), *own = dns_peer_bytes(&listener->address, &own_size);
  if (size != own_size) return false;
  unsigned whole = listener->prefix / 8, rest = listener->prefix % 8;
  if (memcmp(bytes, own, whole) != 0) return false;
  return rest == 0 || (bytes[whole] ^ own[whole]) >> (8 - rest) == 0;
}

size_t dns_answer_here(struct dns_server *server, const uint8_t *message, const struct dns_query *query, uint8_t *bytes,
                       size_t room) {
  dns_take_changes(server);
  size_t size;
  if (dns_answer_from(server->entries, message, query, server->turn++, bytes, room, &size)) return size;
  if (server->resolv_conf) return 0;
  return dns_refuse(bytes, message, query->question_end, DNS_NXDOMAIN);
}

/* Entries. */

static void forget(struct dns_server *server, const char *key) {
  for (struct dns_entry **at = &server->entries; *at; at = &(*at)->next) {
    if (strcmp((*at)->key, key) != 0) continue;
    struct dns_entry *gone = *at;
    *at = gone->next;
    dns_entry_free(gone);
    return;
  }
}

/* When a process began, in the units of proc_pid_stat(5), by which it is told from a later one of its number. */
static uint64_t started_at(const struct dns_server *server, int pid) {
  char path[32], text[1024];
  snprintf(path, sizeof(path), "%d/stat", pid);
  if (read_file_at(server->proc, path, text, sizeof(text)) < 0) return 0;
  /* The name in parentheses may hold anything; what is behind the last one is numbers. */
  const char *at = strrchr(text, ')');
  unsigned long long value = 0;
  if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &value) != 1)
    return 0;
  return value;
}

static void learn(struct dns_server *server, const char *key) {
  static char text[DNS_ENTRY_FILE];
  forget(server, key);
  if (read_file_at(server->names, key, text, sizeof(text)) < 0) return;
  struct dns_entry *entry = dns_entry_from_text(key, text);
  if (!entry) return;
  entry->pidfd = sys_pidfd_open(entry->pid);
  uint64_t began = entry->pidfd < 0 ? 0 : started_at(server, entry->pid);
  /* /proc may hide other users' processes (hidepid); then the number has to do. */
  bool other = began != 0 && entry->started_at != 0 && began != entry->started_at;
  if (entry->pidfd < 0 || other || !dns_listen_to(server, entry->pidfd, DNS_FROM_PROCESS, (size_t)entry->pidfd, EPOLLIN)) {
    dns_entry_free(entry);
    return;
  }
  entry->next = server->entries;
  server->entries = entry;
}

static void forget_process(struct dns_server *server, int pidfd) {
  for (const struct dns_entry *entry = server->entries; entry; entry = entry->next) {
    if (entry->pidfd != pidfd) continue;
    /* The event may be an older one, of another descriptor that had this number. */
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    if (poll(&process, 1, 0) == 1) forget(server, entry->key);
    return;
  }
}

static void learn_all(struct dns_server *server) {
  autoclose int copy = openat(server->names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (!directory) return;
  copy = -1;
  for (const struct dirent *file; (file = readdir(directory));) {
    if (file->d_name[0] != '.') learn(server, file->d_name);
  }
  closedir(directory);
}

void dns_take_changes(struct dns_server *server) {
  _Alignas(struct inotify_event) char events[4096];
  for (;;) {
    ssize_t got = read(server->watch, events, sizeof(events));
    if (got <= 0) return;
    for (const char *at = events; at < events + got;) {
      const struct inotify_event *event = (const void *)at;
      at += sizeof(*event) + event->len;
      if (event->mask & IN_Q_OVERFLOW) {
        while (server->entries) forget(server, server->entries->key);
        learn_all(server);
      } else if (event->len > 0 && event->name[0] != '.') {
        if (event->mask & IN_MOVED_TO) learn(server, event->name);
        else forget(server, event->name);
      }
    }
  }
}

/* The beginning and the end. */

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

static int bind_port(const union dns_peer *address, int type, uint64_t patience) {
  autoclose int fd = socket(address->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int yes = 1;
  /* The bridge may not have its address yet. */
  if (address->any.sa_family == AF_INET) setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &yes, sizeof(yes));
  else setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &yes, sizeof(yes));
  if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  /* The one before may be about to end. */
  for (uint64_t until = dns_now() + patience; bind(fd, &address->any, dns_peer_size(address)) < 0;) {
    if (errno != EADDRINUSE || dns_now() > until) return -1;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
  if (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) return -1;
  return steal_fd(&fd);
}

/* Both sockets at the port that the address has. */
static bool bind_both(struct dns_listener *listener, uint64_t patience) {
  listener->udp = bind_port(&listener->address, SOCK_DGRAM, patience);
  if (listener->udp < 0) return false;
  /* Where the kernel was to pick a port, it is known now. */
  socklen_t size = sizeof(listener->address);
  if (getsockname(listener->udp, &listener->address.any, &size) == 0) {
    listener->tcp = bind_port(&listener->address, SOCK_STREAM, patience);
    if (listener->tcp >= 0) return true;
  }
  close_fd(&listener->udp);
  return false;
}

static in_port_t *port_of(union dns_peer *peer) {
  return peer->any.sa_family == AF_INET ? &peer->four.sin_port : &peer->six.sin6_port;
}

/* At port 53; where another program has that, and hosts can lead questions elsewhere, at one that is free. */
static bool open_listener(struct dns_listener *listener, bool movable) {
  if (bind_both(listener, movable ? MOVE_PATIENCE_MS : PORT_PATIENCE_MS)) return true;
  for (int tries = 0; movable && errno == EADDRINUSE && tries < MOVE_TRIES; tries++) {
    *port_of(&listener->address) = 0;
    if (bind_both(listener, 0)) return true;
  }
  return false;
}

static int add_listener(struct dns_server *server, const char *text, bool movable) {
  char address[INET6_ADDRSTRLEN];
  struct dns_address parsed;
  size_t length = strcspn(text, "/");
  errno = EINVAL;
  if (server->listener_count == DNS_LISTENERS || length >= sizeof(address) || text[length] != '/') return -1;
  memcpy(address, text, length);
  address[length] = '\0';
  if (!dns_address_from_text(address, &parsed)) return -1;
  struct dns_listener *listener = &server->listeners[server->listener_count];
  unsigned long prefix = strtoul(text + length + 1, NULL, 10);
  if (prefix > parsed.size * 8U) return -1;
  *listener = (struct dns_listener){.text = text, .prefix = (unsigned)prefix, .udp = -1, .tcp = -1};
  if (parsed.size == 4) {
    listener->address.four.sin_family = AF_INET;
    listener->address.four.sin_port = htons(PORT);
    memcpy(&listener->address.four.sin_addr, parsed.bytes, 4);
  } else {
    listener->address.six.sin6_family = AF_INET6;
    listener->address.six.sin6_port = htons(PORT);
    memcpy(&listener->address.six.sin6_addr, parsed.bytes, 16);
  }
  if (!open_listener(listener, movable)) return -1;
  size_t index = server->listener_count++;
  return dns_listen_to(server, listener->udp, DNS_FROM_UDP, index, EPOLLIN) &&
                 dns_listen_to(server, listener->tcp, DNS_FROM_TCP, index, EPOLLIN)
             ? 0
             : -1;
}

static int open_names(struct dns_server *server, const char *directory) {
  server->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  server->names = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  server->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (server->proc < 0 || server->names < 0 || server->watch < 0) return -1;
  if (inotify_add_watch(server->watch, directory, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) return -1;
  return dns_listen_to(server, server->watch, DNS_FROM_WATCH, 0, EPOLLIN) ? 0 : -1;
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
                          ntohs(*port_of(&listener->address)));
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
    case DNS_FROM_PROCESS: forget_process(server, (int)index); return;
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

int dns_main(char *const *arguments, size_t count) {
  static struct dns_server server = {.control = -1, .names = -1, .proc = -1, .watch = -1};
  const char *name = arguments[0], *directory = arguments[1];
  server.resolv_conf = strcmp(arguments[2], "-") == 0 ? NULL : arguments[2];
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
  if (open_names(&server, directory) < 0) return failed("open", directory);
  for (size_t i = 4; i < count; i++) {
    if (add_listener(&server, arguments[i], strcmp(arguments[3], "movable") == 0) < 0) return failed("bind", arguments[i]);
  }
  learn_all(&server);
  if (begin_control(&server) < 0) return failed("listen", name);
  if (dns_enter_sandbox() < 0) return failed("prctl", "");
  dprintf(REPORT_FD, "ready\n");
  close(REPORT_FD);
  return serve(&server, name);
}
