/*
 * Datagrams: each client has a socket of its own towards the container, by which the replies are told apart, and is forgotten
 * when both are silent for a while.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "common.h"
#include "forward.h"

enum { CLIENTS = 4096, BUCKETS = 1024, TURNS = 64, DATAGRAM = 65536, PATIENCE = 90 * 1000, STEP = 10 * 1000 };

union info {
  struct in_pktinfo four;
  struct in6_pktinfo six;
};

struct client {
  struct forward_source source;
  struct client *next; /* in its bucket */
  const struct forward_port *port;
  int fd;
  int64_t used; /* ms */
  struct sockaddr_storage address;
  socklen_t address_size;
  int level, type; /* what its datagrams came to, as it is told and said (ip(7), ipv6(7)) */
  union info to;
};

static struct client *buckets[BUCKETS], *gone;
static size_t client_count;
static int64_t swept;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static size_t bucket_of(const struct client *client) {
  uint32_t hash = 2166136261u;
  const uint8_t *bytes = (const uint8_t *)&client->address;
  for (size_t i = 0; i < client->address_size; i++) hash = (hash ^ bytes[i]) * 16777619u;
  return hash % BUCKETS;
}

static bool same(const struct client *one, const struct client *other) {
  return one->port == other->port && one->address_size == other->address_size &&
         memcmp(&one->address, &other->address, one->address_size) == 0 && memcmp(&one->to, &other->to, sizeof(one->to)) == 0;
}

static void forget(struct client **at) {
  struct client *client = *at;
  *at = client->next;
  close_fd(&client->fd);
  /* An event that was fetched already may still tell of it. */
  client->next = gone;
  gone = client;
  client_count--;
}

static void forget_oldest(void) {
  struct client **oldest = NULL;
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct client **at = &buckets[i]; *at; at = &(*at)->next)
      if (!oldest || (*at)->used < (*oldest)->used) oldest = at;
  if (oldest) forget(oldest);
}

int forward_expire(void) {
  for (struct client *client; (client = gone); free(client)) gone = client->next;
  if (client_count == 0) return -1;
  int64_t time = now();
  if (time - swept < STEP) return STEP;
  swept = time;
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct client **at = &buckets[i]; *at;)
      if (time - (*at)->used > PATIENCE) forget(at);
      else at = &(*at)->next;
  return STEP;
}

/* The address of the host that a datagram came to. */
static void read_info(struct client *client, struct msghdr *message) {
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
    bool four = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO;
    bool six = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO;
    if (!four && !six) continue;
    client->level = part->cmsg_level;
    client->type = part->cmsg_type;
    if (six) {
      memcpy(&client->to.six, CMSG_DATA(part), sizeof(client->to.six));
      continue;
    }
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(part), sizeof(info));
    /* The way back is the routes' business; but not where it came by loopback. */
    client->to.four.ipi_spec_dst = info.ipi_addr;
  }
}

static struct client *client_of(struct forward_loop *loop, const struct client *like) {
  size_t bucket = bucket_of(like);
  for (struct client *client = buckets[bucket]; client; client = client->next)
    if (same(client, like)) return client;
  if (client_count == CLIENTS) forget_oldest();
  autoclose int fd = socket(like->port->target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&like->port->target, like->port->target_size) < 0) return NULL;
  struct client *client = malloc(sizeof(*client));
  if (!client) return NULL;
  *client = *like;
  client->source.kind = FORWARD_CLIENT;
  client->fd = fd;
  if (!forward_watch(loop, fd, &client->source, EPOLLIN)) {
    free(client);
    return NULL;
  }
  steal_fd(&fd);
  client->next = buckets[bucket];
  buckets[bucket] = client;
  client_count++;
  return client;
}

static char datagram[DATAGRAM];

void forward_datagrams(struct forward_loop *loop, struct forward_port *port) {
  for (int i = 0; i < TURNS; i++) {
    struct client like = {.port = port};
    union {
      char bytes[CMSG_SPACE(sizeof(union info)) * 2];
      struct cmsghdr align;
    } control;
    struct iovec part = {datagram, sizeof(datagram)};
    struct msghdr message = {.msg_name = &like.address, .msg_namelen = sizeof(like.address), .msg_iov = &part, .msg_iovlen = 1,
                             .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
    ssize_t size = recvmsg(port->fd, &message, MSG_DONTWAIT);
    if (size < 0) return;
    like.address_size = message.msg_namelen;
    read_info(&like, &message);
    struct client *client = client_of(loop, &like);
    if (!client) continue;
    client->used = now();
    /* Who says that it was refused tells of the datagram before this one. */
    if (send(client->fd, datagram, (size_t)size, 0) < 0 && errno == ECONNREFUSED) send(client->fd, datagram, (size_t)size, 0);
  }
}

void forward_replies(struct forward_source *source) {
  struct client *client = (struct client *)source;
  for (int i = 0; i < TURNS; i++) {
    ssize_t size = recv(client->fd, datagram, sizeof(datagram), MSG_DONTWAIT);
    if (size < 0) return; /* of one that is gone, there is none either */
    client->used = now();
    union {
      char bytes[CMSG_SPACE(sizeof(union info))];
      struct cmsghdr align;
    } control = {0};
    struct iovec part = {datagram, (size_t)size};
    struct msghdr message = {
        .msg_name = &client->address, .msg_namelen = client->address_size, .msg_iov = &part, .msg_iovlen = 1};
    if (client->type != 0) {
      size_t length = client->level == IPPROTO_IP ? sizeof(client->to.four) : sizeof(client->to.six);
      message.msg_control = control.bytes;
      message.msg_controllen = CMSG_SPACE(length);
      struct cmsghdr *info = CMSG_FIRSTHDR(&message);
      info->cmsg_level = client->level;
      info->cmsg_type = client->type;
      info->cmsg_len = CMSG_LEN(length);
      memcpy(CMSG_DATA(info), &client->to, length);
    }
    sendmsg(client->port->fd, &message, MSG_DONTWAIT);
  }
}
