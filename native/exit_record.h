/* The exit record on disk: written whole or not at all, before anybody is told. */
#pragma once

#include "protocol.h"

/* Write `path` as JSON through a temporary file that is synced and renamed. */
int exit_record_write(const char *path, const struct exit_record *record);
