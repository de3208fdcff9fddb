#pragma once

#include "plan.h"

/*
 * Tell the journal of the plan's root (lib/event/journal.ts) what has happened to the container. `members` are further
 * members of the event's JSON, each with a comma in front. What can't be written is forgotten: an event fails nothing.
 */
void journal_write(const struct plan *plan, const char *action, const char *members);
