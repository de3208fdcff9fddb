/* What the unpacker is told, from its stream. */
#include <string.h>

#include "unpacker.h"

int need(struct unpacker *u, size_t size) {
  if (u->end - u->start >= size) return 0;
  if (u->start + size > BUFFER_SIZE) {
    memmove(u->buffer, u->buffer + u->start, u->end - u->start);
    u->end -= u->start;
    u->start = 0;
  }
  while (u->end - u->start < size) {
    ssize_t got = read(u->stream, u->buffer + u->end, BUFFER_SIZE - u->end);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(u, "read");
    /* The writer gave up; it knows why. */
    if (got == 0) return fail_with(u, "read", EPIPE);
    u->end += (size_t)got;
  }
  return 0;
}

int take(struct unpacker *u, void *into, size_t size) {
  if (need(u, size) < 0) return -1;
  memcpy(into, u->buffer + u->start, size);
  u->start += size;
  return 0;
}

static int take_string(struct unpacker *u, char into[static PATH_MAX], size_t length) {
  if (length >= PATH_MAX) return fail_with(u, "read", ENAMETOOLONG);
  if (take(u, into, length) < 0) return -1;
  into[length] = '\0';
  return memchr(into, '\0', length) == NULL ? 0 : fail_with(u, "read", EBADMSG);
}

int take_entry(struct unpacker *u, struct entry *entry) {
  entry->path[0] = '\0';
  entry->link[0] = '\0';
  if (take(u, &entry->head, sizeof entry->head) < 0) return -1;
  if (take_string(u, entry->path, entry->head.path_length) < 0) return -1;
  if (take_string(u, entry->link, entry->head.link_length) < 0) return -1;
  if (entry->head.xattrs_length > LONGEST_XATTRS) return fail_with(u, "read", E2BIG);
  return take(u, entry->xattrs, entry->head.xattrs_length);
}
