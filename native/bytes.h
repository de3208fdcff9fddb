#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Bytes that wait for whoever is to get them. */
struct bytes {
  char *start;
  size_t size;
};

/* At the end. False: there is no memory for them. */
bool bytes_add(struct bytes *bytes, const char *start, size_t size);

/* From the beginning. */
void bytes_drop(struct bytes *bytes, size_t size);
