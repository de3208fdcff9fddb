#include "pack_links.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct link {
  dev_t device;
  ino_t inode;
  char *path; /* NULL: free */
};

static struct link *find(struct link *slots, size_t room, dev_t device, ino_t inode) {
  uint64_t hash = ((uint64_t)inode ^ ((uint64_t)device << 32)) * 0x9e3779b97f4a7c15u;
  for (size_t i = (size_t)(hash >> 20) % room;; i = (i + 1) % room) {
    struct link *slot = &slots[i];
    if (!slot->path || (slot->device == device && slot->inode == inode)) return slot;
  }
}

static int grow(struct links *links) {
  size_t room = links->room ? links->room * 2 : 256;
  struct link *slots = calloc(room, sizeof(*slots));
  if (!slots) return -1;
  for (size_t i = 0; i < links->room; i++) {
    const struct link *old = &links->slots[i];
    if (old->path) *find(slots, room, old->device, old->inode) = *old;
  }
  free(links->slots);
  links->slots = slots;
  links->room = room;
  return 0;
}

const char *links_seen(struct links *links, dev_t device, ino_t inode, const char *path) {
  if (links->used * 2 >= links->room && grow(links) < 0) return NULL;
  struct link *slot = find(links->slots, links->room, device, inode);
  errno = 0;
  if (slot->path) return slot->path;
  char *kept = strdup(path);
  if (!kept) return NULL;
  *slot = (struct link){.device = device, .inode = inode, .path = kept};
  links->used++;
  return NULL;
}

void links_free(struct links *links) {
  for (size_t i = 0; i < links->room; i++) free(links->slots[i].path);
  free(links->slots);
  *links = (struct links){0};
}
