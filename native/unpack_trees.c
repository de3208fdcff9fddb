/* Operations on layers as a whole. */
#include <fcntl.h>
#include <string.h>

#include "layer_tree.h"
#include "unpacker.h"

static int open_tree_at(struct unpacker *u, const char *path) {
  int fd = sys_openat2(u->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  return fd < 0 ? fail(u, "openat2") : fd;
}

/* Two texts, of which the last byte is the end. */
static int read_owners(struct layer_copy *copy, const struct entry *entry) {
  const char *text = (const char *)entry->xattrs, *end = memchr(text, '\0', entry->head.xattrs_length);
  if (!end || text[entry->head.xattrs_length - 1] != '\0' || end + 1 >= text + entry->head.xattrs_length) return -1;
  copy->uid_map = text;
  copy->gid_map = end + 1;
  return 0;
}

int unpack_merge(struct unpacker *u, struct entry *entry) {
  struct layer_copy copy = {.top = -1};
  autoclose int from = open_tree_at(u, entry->link), to = from < 0 ? -1 : open_tree_at(u, entry->path);
  if (to < 0) return -1;
  copy.top = to;
  if (entry->head.xattrs_length > 0 && read_owners(&copy, entry) < 0) return fail_with(u, "read", EBADMSG);
  int result = layer_merge(&copy, from, to) < 0 ? fail(u, copy.failed_call) : 0;
  links_free(&copy.links);
  return result;
}

int unpack_changes(struct unpacker *u, struct entry *entry) {
  struct layer_copy copy = {.top = -1};
  char base_path[PATH_MAX];
  size_t length = entry->head.xattrs_length;
  if (length == 0 || length >= sizeof base_path) return fail_with(u, "read", EBADMSG);
  memcpy(base_path, entry->xattrs, length);
  base_path[length] = '\0';
  autoclose int base = open_tree_at(u, base_path), root = base < 0 ? -1 : open_tree_at(u, entry->link);
  autoclose int out = root < 0 ? -1 : open_tree_at(u, entry->path);
  if (out < 0) return -1;
  copy.top = out;
  int result = layer_changes(&copy, base, root, out) < 0 ? fail(u, copy.failed_call) : 0;
  links_free(&copy.links);
  return result;
}
