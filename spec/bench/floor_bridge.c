#define _GNU_SOURCE
#include "floor_bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NETWORK = (10 << 24) + (98 << 16) };

static const char bridge_name[] = "floor0";

struct message {
  struct nlmsghdr header;
  char room[512];
};

static void fail(const char *what) {
  dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
  _exit(99);
}

static char *end_of(struct message *message) {
  return (char *)message + NLMSG_ALIGN(message->header.nlmsg_len);
}

static void begin(struct message *message, unsigned short type, unsigned short flags, const void *head, size_t size) {
  memset(message, 0, sizeof *message);
  message->header = (struct nlmsghdr){
      .nlmsg_len = (uint32_t)NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags)};
  memcpy(NLMSG_DATA(&message->header), head, size);
}

static struct rtattr *add(struct message *message, unsigned short type, const void *data, size_t size) {
  struct rtattr *attribute = (struct rtattr *)end_of(message);
  *attribute = (struct rtattr){.rta_len = (unsigned short)RTA_LENGTH(size), .rta_type = type};
  if (size > 0) memcpy(RTA_DATA(attribute), data, size);
  message->header.nlmsg_len = NLMSG_ALIGN(message->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
  return attribute;
}

static void close_nest(struct message *message, struct rtattr *nest) {
  nest->rta_len = (unsigned short)(end_of(message) - (char *)nest);
}

static int open_route(void) {
  int route = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (route < 0) fail("open a netlink socket");
  return route;
}

static void ask(int route, const struct message *message, const char *what) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char room[512];
  } answer;
  if (send(route, message, message->header.nlmsg_len, 0) < 0 || recv(route, &answer, sizeof answer, 0) < 0) fail(what);
  errno = -answer.error.error;
  if (answer.error.error != 0) fail(what);
}

/* Of 10.98.0.0/16, in which the bridge is number 1. */
static void add_address(int route, int index, unsigned number) {
  struct message message;
  struct in_addr address = {.s_addr = htonl(NETWORK + number)};
  struct ifaddrmsg head = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = (unsigned)index};
  begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  add(&message, IFA_LOCAL, &address, sizeof address);
  add(&message, IFA_ADDRESS, &address, sizeof address);
  ask(route, &message, "add an address");
}

static void set_up(int route, int index) {
  struct message message;
  struct ifinfomsg head = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&message, RTM_NEWLINK, 0, &head, sizeof head);
  ask(route, &message, "set a link up");
}

int make_bridge(void) {
  int route = open_route();
  struct message message;
  struct ifinfomsg head = {0};
  begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  add(&message, IFLA_IFNAME, bridge_name, sizeof bridge_name);
  struct rtattr *info = add(&message, IFLA_LINKINFO, NULL, 0);
  add(&message, IFLA_INFO_KIND, "bridge", strlen("bridge"));
  close_nest(&message, info);
  ask(route, &message, "make a bridge");
  int index = (int)if_nametoindex(bridge_name);
  add_address(route, index, 1);
  set_up(route, index);
  close(route);
  return index;
}

void remove_bridge(void) {
  int route = open_route();
  struct message message;
  struct ifinfomsg head = {0};
  begin(&message, RTM_DELLINK, 0, &head, sizeof head);
  add(&message, IFLA_IFNAME, bridge_name, sizeof bridge_name);
  ask(route, &message, "remove the bridge");
  close(route);
}

void link_to_bridge(int bridge, pid_t child) {
  int route = open_route();
  char name[IFNAMSIZ];
  uint32_t pid = (uint32_t)child, master = (uint32_t)bridge;
  int size = snprintf(name, sizeof name, "floor-%d", (int)child);
  struct message message;
  struct ifinfomsg head = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&message, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  add(&message, IFLA_IFNAME, name, (size_t)size + 1);
  add(&message, IFLA_MASTER, &master, sizeof master);
  struct rtattr *info = add(&message, IFLA_LINKINFO, NULL, 0);
  add(&message, IFLA_INFO_KIND, "veth", strlen("veth"));
  struct rtattr *data = add(&message, IFLA_INFO_DATA, NULL, 0);
  struct ifinfomsg peer_head = {0};
  struct rtattr *peer = add(&message, VETH_INFO_PEER, &peer_head, sizeof peer_head);
  add(&message, IFLA_IFNAME, "eth0", sizeof "eth0");
  add(&message, IFLA_NET_NS_PID, &pid, sizeof pid);
  close_nest(&message, peer);
  close_nest(&message, data);
  close_nest(&message, info);
  ask(route, &message, "make a pair of links");
  close(route);
}

void configure_link(int run) {
  int route = open_route();
  int index = (int)if_nametoindex("eth0");
  set_up(route, (int)if_nametoindex("lo"));
  add_address(route, index, 2 + (unsigned)run);
  set_up(route, index);
  struct message message;
  struct in_addr gateway = {.s_addr = htonl(NETWORK + 1)};
  uint32_t through = (uint32_t)index;
  struct rtmsg head = {.rtm_family = AF_INET,
                       .rtm_table = RT_TABLE_MAIN,
                       .rtm_protocol = RTPROT_STATIC,
                       .rtm_scope = RT_SCOPE_UNIVERSE,
                       .rtm_type = RTN_UNICAST};
  begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
  add(&message, RTA_GATEWAY, &gateway, sizeof gateway);
  add(&message, RTA_OIF, &through, sizeof through);
  ask(route, &message, "add the default route");
  close(route);
}
