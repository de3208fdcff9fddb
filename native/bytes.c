#include "bytes.h"

#include <stdlib.h>
#include <string.h>

bool bytes_add(struct bytes *bytes, const char *start, size_t size) {
  char *grown = realloc(bytes->start, bytes->size + size);
  if (!grown) return false;
  memcpy(grown + bytes->size, start, size);
  *bytes = (struct bytes){.start = grown, .size = bytes->size + size};
  return true;
}

void bytes_drop(struct bytes *bytes, size_t size) {
  bytes->size -= size;
  if (bytes->size > 0) {
    memmove(bytes->start, bytes->start + size, bytes->size);
    return;
  }
  free(bytes->start);
  bytes->start = NULL;
}
