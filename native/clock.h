/* Time, for all of a monitor: what it records, how long something lasts, and for how long it waits. */
#pragma once

#include <poll.h>
#include <stdint.h>

/* Wall clock in milliseconds since the epoch, for records alone: somebody may set it. */
uint64_t now_ms(void);

/* Milliseconds since some moment, which nobody sets. What lasts or is due is reckoned by it. */
uint64_t clock_ms(void);

/* poll(2) for as many milliseconds of that clock; negative: until something happens. */
int clock_poll(struct pollfd *polled, nfds_t count, int64_t timeout);
