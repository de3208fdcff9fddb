/* Pipes to the programs of a container. */
#pragma once

#include "plan.h"
#include "protocol.h"

/* A pipe; where the plan has a label for it, one that is called so. */
int make_stream(const struct plan *plan, int ends[2], struct failure *failure);
