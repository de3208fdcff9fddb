/* The exit record on disk: written whole or not at all, before anybody is told. */
#pragma once

#include "protocol.h"

/*
 * Write `path` as JSON through a temporary file that is renamed. `durable`: synced first, so that it outlives a crash of
 * the machine; what a bound container leaves is worth nothing after one, and a sync can wait long for a busy disk.
 */
int exit_record_write(const char *path, const struct exit_record *record, bool durable);
