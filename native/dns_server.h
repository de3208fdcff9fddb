/* What the parts of the responder for names (dns.c) share. */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "dns_names.h"

enum { DNS_LISTENERS = 8, DNS_UDP_QUERY = 2048, DNS_TRIES = 4, DNS_TRY_MS = 1500 };

union dns_peer {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
};

/* One address of the host on the network, which containers ask. */
struct dns_listener {
  const char *text; /* as it was given, ADDRESS/PREFIX */
  union dns_peer address; /* with the port that it has */
  unsigned prefix; /* only who is within it gets an answer */
  int udp, tcp;
};

struct dns_server {
  struct dns_listener listeners[DNS_LISTENERS];
  size_t listener_count;
  struct dns_entry *entries;
  int resolv_directory; /* that it is in: one that nobody else may look into */
  const char *resolv_conf; /* its name there; NULL: what containers don't know nobody knows */
  int names; /* the directory of their files */
  int proc;
  int watch; /* inotify(7) of that directory */
  int epoll;
  int control; /* where hosts connect */
  size_t hosts; /* that are connected */
  unsigned turn;
};

/* What an epoll event is about: a kind, and an index or descriptor of it. */
enum dns_source { DNS_FROM_UDP, DNS_FROM_TCP, DNS_FROM_WATCH, DNS_FROM_CONTROL, DNS_FROM_HOST, DNS_FROM_PROCESS,
                  DNS_FROM_RESOLVER, DNS_FROM_CLIENT, DNS_FROM_CLIENT_RESOLVER };

/* dns_listen.c */
int dns_add_listener(struct dns_server *server, const char *text, bool movable);
bool dns_listen_to(struct dns_server *server, int fd, enum dns_source source, size_t index, uint32_t events);
bool dns_listen_change(struct dns_server *server, int fd, enum dns_source source, size_t index, uint32_t events);
uint64_t dns_now(void); /* ms, of a clock that nobody sets */

socklen_t dns_peer_size(const union dns_peer *peer);
in_port_t *dns_peer_port(union dns_peer *peer);
const uint8_t *dns_peer_bytes(const union dns_peer *peer, size_t *size);
bool dns_may_ask(const struct dns_listener *listener, const union dns_peer *peer);

/* dns_entries.c */
int dns_open_names(struct dns_server *server, const char *directory);
void dns_learn_all(struct dns_server *server);
void dns_forget_process(struct dns_server *server, int pidfd);
/* Take up what has changed among the entries, before a question is answered. */
void dns_take_changes(struct dns_server *server);
/* What can be said at once. 0: a resolver has to be asked. */
size_t dns_answer_here(struct dns_server *server, const uint8_t *message, const struct dns_query *query, uint8_t *bytes,
                       size_t room);

/* The resolvers for a question of this peer: its own or the host's. Returns their number (dns_resolvers.c). */
size_t dns_resolvers_for(struct dns_server *server, const union dns_peer *peer, union dns_peer resolvers[DNS_RESOLVERS]);

void dns_udp_question(struct dns_server *server, size_t listener);
void dns_udp_answer(struct dns_server *server, size_t index);
void dns_tcp_accept(struct dns_server *server, size_t listener);
void dns_tcp_client(struct dns_server *server, size_t index, uint32_t events);
void dns_tcp_resolver(struct dns_server *server, size_t index, uint32_t events);
/* Give up what took too long. Each returns the ms until it wants to be called again, -1: never. */
int dns_udp_expire(struct dns_server *server);
int dns_tcp_expire(struct dns_server *server);

/*
 * The mode of the helper: NAME DIRECTORY RESOLV_CONF|- fixed|movable ADDRESS/PREFIX...
 * Where another program has port 53, `movable` takes a free port instead. Each host that connects is told of all in one
 * line: ADDRESS/PREFIX=PORT, separated by spaces.
 */
int dns_main(char *const *arguments, size_t count);
