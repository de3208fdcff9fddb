#include "netlink.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "child.h"

enum { MESSAGE_MAXIMUM = 4096, ANSWER_MAXIMUM = 8192, BUFFER = 4 * 1024 * 1024 };

static int open_netlink(int protocol) {
  return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
}

/* The acknowledgement of what was just sent, behind what was asked for: the kernel has done the work by then. */
static int acknowledged(int socket) {
  for (;;) {
    union {
      char bytes[ANSWER_MAXIMUM];
      struct nlmsghdr header;
    } answer;
    ssize_t size = recv(socket, &answer, sizeof(answer), MSG_DONTWAIT);
    if (size < 0) return -1;
    const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
    if ((size_t)size < NLMSG_LENGTH(sizeof(*error)) || answer.header.nlmsg_type != NLMSG_ERROR) continue;
    errno = -error->error;
    return error->error == 0 ? 0 : -1;
  }
}

static int transact(int socket, const void *message, size_t size) {
  return send(socket, message, size, 0) < 0 ? -1 : acknowledged(socket);
}

/*
 * One for all monitors, who inherit it: nf_tables lets the last close of a socket wait until what was removed is freed, an
 * RCU grace period later, and holds a lock meanwhile that every change of the firewall needs.
 */
static int firewall = -1;

void netlink_open_firewall(void) {
  firewall = open_netlink(NETLINK_NETFILTER);
  int size = BUFFER; /* thousands of ports are one batch */
  if (firewall >= 0) setsockopt(firewall, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

/* For good: what is taken down in the end is there as well. */
static int enter_space(const struct plan *plan, struct failure *failure) {
  autoclose int space = open(plan->space, O_RDONLY | O_CLOEXEC);
  if (space < 0) return fail(failure, "open");
  if (setns(space, CLONE_NEWNET) < 0) return fail(failure, "setns");
  close_fd(&firewall);
  netlink_open_firewall();
  return 0;
}

static int make_links(const struct plan *plan, int socket, pid_t pid, struct failure *failure) {
  struct reader items = plan->links.items;
  for (uint32_t i = 0; i < plan->links.count; i++) {
    failure->index = i;
    struct blob blob = read_blob(&items);
    uint32_t pid_at = read_u32(&items), value = (uint32_t)pid;
    uint8_t message[MESSAGE_MAXIMUM];
    errno = EMSGSIZE;
    if (blob.size > sizeof(message)) return fail(failure, "send");
    memcpy(message, blob.data, blob.size);
    if (pid_at != NO_PID) {
      errno = EINVAL;
      if (blob.size < sizeof(value) || pid_at > blob.size - sizeof(value)) return fail(failure, "send");
      memcpy(message + pid_at, &value, sizeof(value));
    }
    if (transact(socket, message, blob.size) < 0) return fail(failure, "netlink");
  }
  return 0;
}

static void remove_links(const struct plan *plan, int socket) {
  struct reader items = plan->unlinks.items;
  for (uint32_t i = 0; i < plan->unlinks.count; i++) {
    struct blob blob = read_blob(&items);
    transact(socket, blob.data, blob.size);
  }
}

int netlink_make_links(const struct plan *plan, pid_t pid, struct failure *failure) {
  failure->stage = STAGE_LINK;
  failure->index = plan->links.count;
  if (plan->space && enter_space(plan, failure) < 0) return -1;
  if (plan->links.count == 0) return 0;
  autoclose int socket = open_netlink(NETLINK_ROUTE);
  if (socket < 0) return fail(failure, "socket");
  if (make_links(plan, socket, pid, failure) == 0) return 0;
  if (failure->error != EEXIST) return -1;
  /*
   * The names are the container's own: those are of its last run. Its namespace takes them along, but not before the kernel comes
   * to that, or as long as somebody else is in there.
   */
  remove_links(plan, socket);
  return make_links(plan, socket, pid, failure);
}

void netlink_tear_down(const struct plan *plan, bool namespace_goes) {
  autoclose int links = namespace_goes || plan->unlinks.count == 0 ? -1 : open_netlink(NETLINK_ROUTE);
  if (links >= 0) remove_links(plan, links);
  struct reader items = plan->teardown.items;
  for (uint32_t i = 0; i < plan->teardown.count && firewall >= 0; i++) {
    struct blob blob = read_blob(&items);
    send(firewall, blob.data, blob.size, 0);
    /* The kernel has answered by now. Nobody waits for that, and others' answers may stand here as well. */
    char answer[ANSWER_MAXIMUM];
    while (recv(firewall, answer, sizeof(answer), MSG_DONTWAIT) >= 0) continue;
  }
}

int op_netlink(struct child *child, struct reader *fields) {
  struct list messages = read_blobs(fields);
  wait_to_go_on(child); /* the monitor makes the links meanwhile */
  autoclose int socket = open_netlink(NETLINK_ROUTE);
  if (socket < 0) return fail(&child->failure, "socket");
  for (uint32_t i = 0; i < messages.count; i++) {
    struct blob blob = read_blob(&messages.items);
    if (transact(socket, blob.data, blob.size) < 0) return fail(&child->failure, "netlink");
  }
  return 0;
}
