/* The exit record on disk: written whole or not at all, before anybody is told. */
#pragma once

#include "protocol.h"

/* Keep room for the record on the disk, which may be full when it is needed; give it back when no record comes. */
int exit_record_reserve(const char *path);
void exit_record_forget(const char *path);
/* Of a run that is to be followed by another: its room becomes that one's, and there is no record meanwhile. */
void exit_record_renew(const char *path);

/*
 * Write `path` as JSON through a temporary file that is renamed. `durable`: synced first, so that it outlives a crash of
 * the machine; what a bound container leaves is worth nothing after one, and a sync can wait long for a busy disk.
 */
int exit_record_write(const char *path, const struct exit_record *record, bool durable);
