/* What containers talk to lives outside of them: whoever finds a hole in it shall find himself with next to nothing. */
#pragma once

#include <linux/filter.h>

#include "common.h"

/* Nobody, where there is one, without capabilities, groups and a way to gain any; others can't trace this. */
int sandbox_rights(void);

/* Of system calls these alone, all others are EPERM. `before`: rules that look at one's arguments, with its number loaded. */
int sandbox_calls(const unsigned *calls, size_t count, const struct sock_filter *before, size_t before_count);
