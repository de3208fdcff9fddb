/* Questions and answers over TCP (RFC 7766): a length of two bytes before each. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "dns_server.h"

enum { CLIENTS = 64, CLIENTS_OF_ONE = 16, IDLE_MS = 10000, BUFFER = 2 + 65535 };

enum phase { READING, CONNECTING, ASKING, WAITING, ANSWERING };

/* One connection; its buffer holds the question, then the answer. */
struct client {
  int fd; /* -1: none */
  int resolver;
  enum phase phase;
  size_t done, size; /* of what is being read or written */
  size_t tries, question_end;
  uint64_t until;
  union dns_peer peer;
  uint8_t *buffer;
};
static struct client all[CLIENTS];
static bool ready;

static void end(struct client *client) {
  close_fd(&client->fd);
  close_fd(&client->resolver);
  free(client->buffer);
  client->buffer = NULL;
}

static size_t index_of(const struct client *client) {
  return (size_t)(client - all);
}

static void await(struct dns_server *server, struct client *client, enum phase phase, size_t size) {
  client->phase = phase;
  client->done = 0;
  client->size = size;
  client->until = dns_now() + IDLE_MS;
  bool towards_client = phase == READING || phase == ANSWERING;
  uint32_t wanted = phase == READING || phase == WAITING ? EPOLLIN : EPOLLOUT;
  dns_listen_change(server, client->fd, DNS_FROM_CLIENT, index_of(client), towards_client ? wanted : 0);
  if (client->resolver >= 0) {
    dns_listen_change(server, client->resolver, DNS_FROM_CLIENT_RESOLVER, index_of(client), towards_client ? 0 : wanted);
  }
}

static void answer(struct dns_server *server, struct client *client, size_t size) {
  close_fd(&client->resolver);
  dns_put16(client->buffer, size);
  await(server, client, ANSWERING, size + 2);
}

static void fail_with(struct dns_server *server, struct client *client, enum dns_code code) {
  answer(server, client, dns_refuse(client->buffer + 2, client->buffer + 2, client->question_end, code));
}

/* Connect to the next resolver. */
static void ask(struct dns_server *server, struct client *client) {
  close_fd(&client->resolver);
  union dns_peer resolvers[DNS_RESOLVERS];
  size_t count = dns_resolvers_for(server, &client->peer, resolvers);
  while (client->tries < count) {
    const union dns_peer *resolver = &resolvers[client->tries++];
    autoclose int fd = socket(resolver->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, &resolver->any, dns_peer_size(resolver)) < 0 && errno != EINPROGRESS)) continue;
    if (!dns_listen_to(server, fd, DNS_FROM_CLIENT_RESOLVER, index_of(client), 0)) continue;
    client->resolver = steal_fd(&fd);
    await(server, client, CONNECTING, dns_get16(client->buffer) + 2U);
    return;
  }
  fail_with(server, client, DNS_SERVFAIL);
}

static void take_question(struct dns_server *server, struct client *client) {
  size_t size = client->size - 2;
  const uint8_t *message = client->buffer + 2;
  struct dns_query query;
  enum dns_code code;
  enum dns_verdict verdict = dns_read_query(message, size, &query, &code);
  client->question_end = verdict == DNS_FINE ? query.question_end : 0;
  if (verdict == DNS_IGNORE) {
    end(client);
    return;
  }
  if (verdict == DNS_REFUSE) {
    fail_with(server, client, code);
    return;
  }
  static uint8_t reply[65535];
  size_t answered = dns_answer_here(server, message, &query, reply, sizeof(reply));
  client->tries = 0;
  if (answered == 0) {
    ask(server, client);
    return;
  }
  memcpy(client->buffer + 2, reply, answered);
  answer(server, client, answered);
}

/* Read on: 1 when all of a message is there, 0 when not yet, -1 at the end. */
static int read_message(int fd, struct client *client) {
  for (;;) {
    ssize_t got = recv(fd, client->buffer + client->done, client->size - client->done, MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (got == 0) return -1;
    client->done += (size_t)got;
    if (client->done < client->size) continue;
    if (client->size > 2) return 1;
    client->size = dns_get16(client->buffer) + 2U;
    if (client->size == 2) return -1;
  }
}

static int write_message(int fd, struct client *client) {
  ssize_t sent = send(fd, client->buffer + client->done, client->size - client->done, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  client->done += (size_t)sent;
  return client->done == client->size;
}

void dns_tcp_client(struct dns_server *server, size_t index, uint32_t events) {
  struct client *client = &all[index];
  if (client->fd < 0) return;
  if (client->phase == READING) {
    int got = read_message(client->fd, client);
    if (got < 0) end(client);
    else if (got > 0) take_question(server, client);
  } else if (client->phase == ANSWERING) {
    int sent = write_message(client->fd, client);
    if (sent < 0) end(client);
    else if (sent > 0) await(server, client, READING, 2);
  } else if (events & (EPOLLHUP | EPOLLERR)) {
    end(client);
  }
}

void dns_tcp_resolver(struct dns_server *server, size_t index, uint32_t events) {
  struct client *client = &all[index];
  if (client->fd < 0 || client->resolver < 0) return;
  if (client->phase == CONNECTING) {
    int error = 0;
    socklen_t length = sizeof(error);
    getsockopt(client->resolver, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      ask(server, client);
      return;
    }
    client->phase = ASKING;
  }
  if (client->phase == ASKING) {
    int sent = write_message(client->resolver, client);
    if (sent < 0) fail_with(server, client, DNS_SERVFAIL);
    else if (sent > 0) await(server, client, WAITING, 2);
  } else if (client->phase == WAITING && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
    int got = read_message(client->resolver, client);
    if (got < 0) end(client);
    else if (got > 0) answer(server, client, client->size - 2);
  }
}

void dns_tcp_accept(struct dns_server *server, size_t listener) {
  for (; !ready; ready = true) {
    for (size_t i = 0; i < CLIENTS; i++) all[i].fd = all[i].resolver = -1;
  }
  union dns_peer peer = {0};
  socklen_t length = sizeof(peer);
  autoclose int fd = accept4(server->listeners[listener].tcp, &peer.any, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 || !dns_may_ask(&server->listeners[listener], &peer)) return;
  size_t same = 0, size, other_size;
  const uint8_t *bytes = dns_peer_bytes(&peer, &size);
  struct client *client = NULL;
  for (size_t i = 0; i < CLIENTS; i++) {
    if (all[i].fd < 0) {
      if (!client) client = &all[i];
      continue;
    }
    const uint8_t *other = dns_peer_bytes(&all[i].peer, &other_size);
    same += size == other_size && memcmp(bytes, other, size) == 0;
  }
  if (!client || same >= CLIENTS_OF_ONE) return;
  uint8_t *buffer = malloc(BUFFER);
  if (!buffer || !dns_listen_to(server, fd, DNS_FROM_CLIENT, index_of(client), EPOLLIN)) {
    free(buffer);
    return;
  }
  *client = (struct client){.fd = steal_fd(&fd), .resolver = -1, .peer = peer, .buffer = buffer};
  await(server, client, READING, 2);
}

int dns_tcp_expire(struct dns_server *server) {
  uint64_t now = dns_now();
  int next = -1;
  for (size_t i = 0; ready && i < CLIENTS; i++) {
    if (all[i].fd >= 0 && all[i].until <= now) {
      if (all[i].phase == CONNECTING) ask(server, &all[i]);
      else end(&all[i]);
    }
    if (all[i].fd < 0) continue;
    int left = all[i].until > now ? (int)(all[i].until - now) : 0;
    if (next < 0 || left < next) next = left;
  }
  return next;
}
