/* Where a responder for names is asked: its sockets, who may ask there, and the events of all of its descriptors. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "dns_server.h"

enum { PORT = 53, BACKLOG = 64, PORT_PATIENCE_MS = 1000, MOVE_PATIENCE_MS = 100, MOVE_TRIES = 32 };

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

in_port_t *dns_peer_port(union dns_peer *peer) {
  return peer->any.sa_family == AF_INET ? &peer->four.sin_port : &peer->six.sin6_port;
}

/* At port 53; where another program has that, and hosts can lead questions elsewhere, at one that is free. */
static bool open_listener(struct dns_listener *listener, bool movable) {
  if (bind_both(listener, movable ? MOVE_PATIENCE_MS : PORT_PATIENCE_MS)) return true;
  for (int tries = 0; movable && errno == EADDRINUSE && tries < MOVE_TRIES; tries++) {
    *dns_peer_port(&listener->address) = 0;
    if (bind_both(listener, 0)) return true;
  }
  return false;
}

int dns_add_listener(struct dns_server *server, const char *text, bool movable) {
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
