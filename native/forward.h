/*
 * Published ports of an ordinary user's bridge networks: from sockets of the host's network namespace to those of containers.
 * Bytes of TCP go through pipes, by splice(2), and are never looked at. For a container one process, which ends with a stream,
 * and keeps the sockets for another that does the work: of what strangers may send to that one, nothing can end the ports.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Where what comes to a socket is to go. lib/network/rootless/space.ts has it too. */
struct forward_target {
  uint8_t protocol; /* 0: TCP, 1: UDP */
  uint8_t family; /* 4 or 6 */
  uint16_t port; /* of the container, little-endian */
  uint8_t address[16]; /* of the container; of IPv4 the first four */
};

/* `sockets` are bound, and in the order of `targets`. */
int forward_main(int stream, const int *sockets, const struct forward_target *targets, size_t count);

/* forward_sandbox.c: give up all that forwarding doesn't take. Can't be undone. */
int forward_enter_sandbox(void);

struct forward_port {
  int fd;
  bool udp, paused; /* it waits until there are descriptors again */
  struct sockaddr_storage target;
  socklen_t target_size;
};

/* What epoll(7) tells of: the first member of all that it knows. */
struct forward_source {
  enum { FORWARD_STREAM, FORWARD_PORT, FORWARD_CONNECTION, FORWARD_CLIENT } kind;
};

struct forward_loop {
  int epoll;
  struct forward_port *ports;
  size_t port_count;
};

/* A descriptor more to be told of, edge-triggered. False: it can't be. */
bool forward_watch(const struct forward_loop *loop, int fd, struct forward_source *source, uint32_t events);

/* forward_tcp.c: new connections; bytes; those that had their share and go on. */
void forward_accept(struct forward_loop *loop, struct forward_port *port);
void forward_move(struct forward_source *connection);
bool forward_go_on(void);
/* Free those that have ended, once no event can tell of them any more. True: there are descriptors again. */
bool forward_sweep(void);

/* forward_udp.c: datagrams there, datagrams back, and those who were silent for long. */
void forward_datagrams(struct forward_loop *loop, struct forward_port *port);
void forward_replies(struct forward_source *client);
/* Milliseconds until there is something to forget; -1: nothing is. */
int forward_expire(void);
