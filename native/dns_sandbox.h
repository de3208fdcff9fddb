#pragma once

#include "common.h"

/* Give up all that answering questions doesn't take: root, capabilities, most system calls. Can't be undone. */
int dns_enter_sandbox(void);
