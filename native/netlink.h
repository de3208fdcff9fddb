/* Netlink messages of the plan: bytes that lib/network has made, and that are sent here as they are. */
#pragma once

#include "plan.h"
#include "protocol.h"

/* Make the links of the container, whose pid 1 is `pid`, from this network namespace. */
int netlink_make_links(const struct plan *plan, pid_t pid, struct failure *failure);

/* To be called once, before the monitors are forked. */
void netlink_open_firewall(void);

/*
 * Give back addresses and published ports, and, where others are left in the network namespace, the links that would have
 * gone with it: the addresses may be another's soon. What fails is left to the host's next look.
 */
void netlink_tear_down(const struct plan *plan, bool namespace_goes);
