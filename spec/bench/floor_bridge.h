/* The network part of the floor: a bridge of the host, and a veth pair to it for each container, over rtnetlink(7). */
#pragma once

#include <sys/types.h>

/* Make the bridge `floor0`, 10.98.0.1/16. Returns its index. */
int make_bridge(void);
void remove_bridge(void);

/* A pair of links: one end a port of the bridge, the other eth0 in the network namespace of `child`. */
void link_to_bridge(int bridge, pid_t child);

/* In the container, once it has its eth0: loopback, an address, the default route. */
void configure_link(int run);
