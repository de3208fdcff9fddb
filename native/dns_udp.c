/* Questions and answers over UDP. */
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "dns_server.h"

enum { WAITING = 512, WAITING_OF_ONE = 128, BATCH = 16 };

/* A question that a resolver was asked. Each has a socket of its own: its port is one more thing that a forger must guess. */
struct waiting {
  bool used;
  int fd; /* -1: none at the moment */
  size_t listener, tries, size, question_end, room;
  uint16_t client_id;
  union dns_peer client;
  uint64_t until;
  uint8_t query[DNS_UDP_QUERY];
};
static struct waiting all[WAITING];
static size_t top; /* no slot from here on is used */
static uint8_t reply[65535];

static void send_to(const struct dns_server *server, size_t listener, const union dns_peer *peer, const uint8_t *bytes,
                    size_t size) {
  sendto(server->listeners[listener].udp, bytes, size, MSG_DONTWAIT, &peer->any, dns_peer_size(peer));
}

static void release(struct waiting *one) {
  close_fd(&one->fd);
  one->used = false;
  while (top > 0 && !all[top - 1].used) top--;
}

static void give_up(const struct dns_server *server, struct waiting *one) {
  dns_put16(one->query, one->client_id);
  send_to(server, one->listener, &one->client, reply, dns_refuse(reply, one->query, one->question_end, DNS_SERVFAIL));
  release(one);
}

/* Ask the next resolver. One that can't even be reached is passed over. */
static void ask(struct dns_server *server, struct waiting *one) {
  close_fd(&one->fd);
  union dns_peer resolvers[DNS_RESOLVERS];
  size_t count = dns_resolvers_for(server, &one->client, resolvers);
  size_t most = count * 2 < DNS_TRIES ? count * 2 : DNS_TRIES;
  while (one->tries < most) {
    const union dns_peer *resolver = &resolvers[one->tries++ % count];
    autoclose int fd = socket(resolver->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, &resolver->any, dns_peer_size(resolver)) < 0) continue;
    if (getrandom(one->query, 2, 0) != 2 || send(fd, one->query, one->size, 0) < 0) continue;
    if (!dns_listen_to(server, fd, DNS_FROM_RESOLVER, (size_t)(one - all), EPOLLIN)) continue;
    one->until = dns_now() + DNS_TRY_MS;
    one->fd = steal_fd(&fd);
    return;
  }
  give_up(server, one);
}

static struct waiting *find_free(const union dns_peer *client) {
  struct waiting *found = NULL;
  size_t same = 0, size, other_size;
  const uint8_t *bytes = dns_peer_bytes(client, &size);
  for (size_t i = 0; i < top; i++) {
    if (!all[i].used) {
      if (!found) found = &all[i];
      continue;
    }
    const uint8_t *other = dns_peer_bytes(&all[i].client, &other_size);
    same += size == other_size && memcmp(bytes, other, size) == 0;
  }
  if (!found && top < WAITING) found = &all[top];
  /* One container must not use up what all share. */
  return same < WAITING_OF_ONE ? found : NULL;
}

static void forward(struct dns_server *server, size_t listener, const union dns_peer *client, const uint8_t *message,
                    size_t size, const struct dns_query *query) {
  struct waiting *one = find_free(client);
  if (!one) {
    send_to(server, listener, client, reply, dns_refuse(reply, message, query->question_end, DNS_SERVFAIL));
    return;
  }
  one->used = true;
  if (top <= (size_t)(one - all)) top = (size_t)(one - all) + 1;
  one->fd = -1;
  one->listener = listener;
  one->tries = 0;
  one->size = size;
  one->question_end = query->question_end;
  one->room = query->udp_size;
  one->client_id = query->id;
  one->client = *client;
  memcpy(one->query, message, size);
  ask(server, one);
}

void dns_udp_question(struct dns_server *server, size_t listener) {
  uint8_t message[DNS_UDP_QUERY];
  for (int i = 0; i < BATCH; i++) {
    union dns_peer client = {0};
    socklen_t length = sizeof(client);
    ssize_t got = recvfrom(server->listeners[listener].udp, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC, &client.any,
                           &length);
    if (got < 0) return;
    size_t size = (size_t)got;
    if (size > sizeof(message) || !dns_may_ask(&server->listeners[listener], &client)) continue;
    struct dns_query query;
    enum dns_code code;
    enum dns_verdict verdict = dns_read_query(message, size, &query, &code);
    if (verdict == DNS_IGNORE) continue;
    if (verdict == DNS_REFUSE) {
      send_to(server, listener, &client, reply, dns_refuse(reply, message, 0, code));
      continue;
    }
    size_t room = query.udp_size < DNS_EDNS_UDP ? query.udp_size : DNS_EDNS_UDP;
    size_t answer = dns_answer_here(server, message, &query, reply, room);
    if (answer > 0) send_to(server, listener, &client, reply, answer);
    else forward(server, listener, &client, message, size, &query);
  }
}

void dns_udp_answer(struct dns_server *server, size_t index) {
  struct waiting *one = &all[index];
  if (!one->used || one->fd < 0) return;
  ssize_t got = recv(one->fd, reply, sizeof(reply), MSG_DONTWAIT);
  if (got < 0) {
    /* Nobody listens there: no need to wait. */
    if (errno != EAGAIN && errno != EINTR) ask(server, one);
    return;
  }
  size_t size = (size_t)got;
  if (!dns_answers(reply, size, one->query, one->size)) return;
  bool last = one->tries >= DNS_TRIES;
  if ((reply[3] & 0xf) == DNS_SERVFAIL && !last) {
    ask(server, one);
    return;
  }
  dns_put16(reply, one->client_id);
  /* A resolver that sends more than was asked for; the client asks again over TCP. */
  if (size > one->room) size = dns_truncate(reply, one->question_end);
  send_to(server, one->listener, &one->client, reply, size);
  release(one);
}

int dns_udp_expire(struct dns_server *server) {
  uint64_t now = dns_now();
  int next = -1;
  for (size_t i = 0; i < top; i++) {
    if (all[i].used && all[i].until <= now) ask(server, &all[i]);
    if (!all[i].used) continue;
    int left = all[i].until > now ? (int)(all[i].until - now) : 0;
    if (next < 0 || left < next) next = left;
  }
  return next;
}
