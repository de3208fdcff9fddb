#pragma once

#include <stdint.h>

/*
 * Does somebody listen on this TCP port of our loopback, or answer an HTTP GET of `path` (NULL: that isn't asked) with 200 to
 * 399? Says on stdout what it found. Returns the exit status of a health check.
 */
int probe(uint16_t port, const char *path);
