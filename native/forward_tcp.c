/* Connections: what comes from the one side goes to the other, until both have said that there is no more. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "common.h"
#include "forward.h"

/* So much at a time, and so often until others have their turn. */
enum { PIECE = 256 * 1024, ROUNDS = 32, ACCEPTED = 64 };

struct way {
  int from, to, pipe[2];
  size_t held; /* bytes in the pipe */
  bool ended, told; /* no more comes; and that was passed on */
};

struct connection {
  struct forward_source source;
  struct connection *next, **at; /* among all */
  struct connection *later; /* among those that go on without an event */
  bool waits, dead;
  struct way ways[2];
};

static struct connection *all, *unfinished;
static bool any_dead;

/* A client that could not be brought to the container is told so, as the container's own kernel would. */
static void reset(int fd) {
  struct linger none = {.l_onoff = 1};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

static void end(struct connection *connection, bool broken) {
  if (connection->dead) return;
  connection->dead = any_dead = true;
  for (size_t i = 0; i < 2; i++) {
    struct way *way = &connection->ways[i];
    if (broken) reset(way->from);
    close(way->pipe[0]);
    close(way->pipe[1]);
  }
  for (size_t i = 0; i < 2; i++) close(connection->ways[i].from);
}

/* 1: there is more to do; 0: it waits for an event; -1: broken. */
static int move(struct way *way) {
  for (int round = 0; round < ROUNDS; round++) {
    if (way->held == 0 && !way->ended) {
      ssize_t got = splice(way->from, NULL, way->pipe[1], NULL, PIECE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (got < 0) return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -1;
      if (got == 0) way->ended = true;
      way->held += (size_t)got;
    }
    if (way->held == 0) {
      if (!way->told) shutdown(way->to, SHUT_WR);
      way->told = true;
      return 0;
    }
    ssize_t put = splice(way->pipe[0], NULL, way->to, NULL, way->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (put < 0) return errno == EAGAIN ? 0 : errno == EINTR ? 1 : -1;
    way->held -= (size_t)put;
  }
  return 1;
}

static void run(struct connection *connection) {
  if (connection->dead) return;
  bool more = false;
  for (size_t i = 0; i < 2; i++) {
    int moved = move(&connection->ways[i]);
    if (moved < 0) {
      end(connection, true);
      return;
    }
    more |= moved > 0;
  }
  if (connection->ways[0].told && connection->ways[1].told) {
    end(connection, false);
    return;
  }
  if (!more || connection->waits) return;
  connection->waits = true;
  connection->later = unfinished;
  unfinished = connection;
}

void forward_move(struct forward_source *source) {
  run((struct connection *)source);
}

bool forward_go_on(void) {
  struct connection *turn = unfinished;
  unfinished = NULL;
  while (turn) {
    struct connection *connection = turn;
    turn = connection->later;
    connection->waits = false;
    run(connection);
  }
  return unfinished != NULL;
}

bool forward_sweep(void) {
  if (!any_dead) return false;
  any_dead = false;
  for (struct connection *connection = all, *next; connection; connection = next) {
    next = connection->next;
    if (!connection->dead) continue;
    any_dead |= connection->waits;
    if (connection->waits) continue;
    *connection->at = next;
    if (next) next->at = connection->at;
    free(connection);
  }
  return true;
}

static int connect_to(const struct forward_port *port) {
  autoclose int fd = socket(port->target.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, (const struct sockaddr *)&port->target, port->target_size) < 0 && errno != EINPROGRESS) return -1;
  return steal_fd(&fd);
}

/* False: there are no descriptors for it, and the client is given up. */
static bool join(const struct forward_loop *loop, const struct forward_port *port, int client) {
  int on = 1, there[2] = {-1, -1}, back[2] = {-1, -1};
  setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)); /* else one whose peer has vanished stays for ever */
  int server = connect_to(port);
  struct connection *connection = server < 0 ? NULL : calloc(1, sizeof(*connection));
  if (!connection || pipe2(there, O_CLOEXEC | O_NONBLOCK) < 0 || pipe2(back, O_CLOEXEC | O_NONBLOCK) < 0) {
    bool short_of = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    reset(client);
    const int opened[] = {client, server, there[0], there[1], back[0], back[1]};
    for (size_t i = 0; i < array_length(opened); i++)
      if (opened[i] >= 0) close(opened[i]);
    free(connection);
    return !short_of;
  }
  connection->source.kind = FORWARD_CONNECTION;
  connection->ways[0] = (struct way){.from = client, .to = server, .pipe = {there[0], there[1]}};
  connection->ways[1] = (struct way){.from = server, .to = client, .pipe = {back[0], back[1]}};
  connection->next = all;
  connection->at = &all;
  if (all) all->at = &connection->next;
  all = connection;
  const uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  if (!forward_watch(loop, client, &connection->source, events) ||
      !forward_watch(loop, server, &connection->source, events))
    end(connection, true);
  return true;
}

void forward_accept(struct forward_loop *loop, struct forward_port *port) {
  for (int i = 0; i < ACCEPTED; i++) {
    int client = accept4(port->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)) return;
    if (client >= 0 && join(loop, port, client)) continue;
    /* Others wait in the kernel until one of ours has ended; while there are none, nothing would be told. */
    if (!all) return;
    port->paused = true;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, port->fd, NULL);
    return;
  }
}
