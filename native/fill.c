/*
 * The first use of a volume: it begins with what the image has where it is mounted (podman-run(1), --volume).
 *
 * The copy is made beside the data and moved in when it is whole, entry by entry, so that whatever interrupts it, the
 * next start finds either nothing of it in the volume or goes on with the moving. Who is at it holds a lock, which the
 * kernel takes back from the dead. Nothing is ever taken out of the volume: what is there already wins.
 */
#include "outside.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "resolve.h"
#include "unpack.h"

static const char copying[] = ".podling-filling"; /* being copied: of no worth */
static const char copied[] = ".podling-filled"; /* whole, and being moved into the volume */

/* What a new file system has of its own, and what is ours, doesn't make a volume one that is used. */
static bool counts(const char *name) {
  static const char *const ignored[] = {".", "..", "lost+found", copying, copied};
  for (size_t i = 0; i < array_length(ignored); i++)
    if (strcmp(name, ignored[i]) == 0) return false;
  return true;
}

static DIR *open_entries(int directory) {
  int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return NULL;
  DIR *entries = fdopendir(again);
  if (!entries) close_fd(&again);
  return entries;
}

/* 1: nothing is in it; 0: something is; -1. */
static int is_empty(int directory) {
  DIR *entries = open_entries(directory);
  if (!entries) return -1;
  int empty = 1;
  for (struct dirent *entry; empty && (entry = readdir(entries));) empty = !counts(entry->d_name);
  closedir(entries);
  return empty;
}

/* Move what was copied into the volume, and give it the owner and mode of the image's directory. */
static int move_in(int staging, int data, bool empty, struct failure *failure) {
  autoclose int from = openat(staging, copied, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0) return fail(failure, "openat");
  struct stat status;
  if (fstat(from, &status) < 0) return fail(failure, "fstat");
  if (empty && fchown(data, status.st_uid, status.st_gid) < 0) return fail(failure, "fchown");
  if (empty && fchmod(data, status.st_mode & 07777) < 0) return fail(failure, "fchmod");
  DIR *entries = open_entries(from);
  if (!entries) return fail(failure, "opendir");
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries));) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    if (renameat2(from, name, data, name, RENAME_NOREPLACE) == 0 || errno == EEXIST) continue;
    /* Not every file system knows how not to replace; nobody else is at this one then but by a mount of its own. */
    if (errno == EINVAL && faccessat(data, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
        renameat(from, name, data, name) == 0)
      continue;
    result = fail(failure, "renameat");
  }
  closedir(entries);
  if (result < 0) return -1;
  return remove_tree(staging, copied) < 0 ? fail(failure, "unlinkat") : 0;
}

static int copy_in(int place, int staging, bool durable, struct failure *failure) {
  if (remove_tree(staging, copying) < 0) return fail(failure, "unlinkat");
  if (mkdirat(staging, copying, 0700) < 0) return fail(failure, "mkdirat");
  autoclose int into = openat(staging, copying, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (into < 0) return fail(failure, "openat");
  if (copy_tree(place, into, failure) < 0) {
    remove_tree(staging, copying); /* a full disk is no better for what can't be finished */
    return -1;
  }
  /* Its name says that it is whole, so it must be so on the disk first. */
  if (durable && syncfs(into) < 0) return fail(failure, "syncfs");
  return renameat(staging, copying, staging, copied) < 0 ? fail(failure, "renameat") : 0;
}

static int fill(int place, int data, int staging, bool durable, struct failure *failure) {
  int empty = is_empty(data);
  if (empty < 0) return fail(failure, "opendir");
  struct stat status;
  bool begun = fstatat(staging, copied, &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (!begun && !empty) return remove_tree(staging, copying) < 0 ? fail(failure, "unlinkat") : 0;
  if (!begun && copy_in(place, staging, durable, failure) < 0) return -1;
  return move_in(staging, data, empty, failure);
}

/* A volume that nothing is put into is to be written by the root of its first container. */
static int give_empty(const struct child *child, const char *data_path, struct failure *failure) {
  if (!child->outside) return 0;
  autoclose int data = open(data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (data < 0) return fail(failure, "open");
  int empty = is_empty(data);
  if (empty <= 0) return empty < 0 ? fail(failure, "opendir") : 0;
  uid_t uid = id_outside(child->plan->uid_map, 0);
  gid_t gid = id_outside(child->plan->gid_map, 0);
  return fchown(data, uid, gid) < 0 ? fail(failure, "fchown") : 0;
}

int op_fill(struct child *child, struct reader *fields) {
  const char *data_path = read_text(fields), *staging_path = read_text(fields), *lock_path = read_text(fields);
  const char *target = read_text(fields);
  bool durable = read_u8(fields) == 1;
  /* An image that has nothing there, or a file, gives nothing. */
  autoclose int place = resolve(child->root, target, O_PATH | O_DIRECTORY);
  if (place < 0 && (errno == ENOENT || errno == ENOTDIR)) return give_empty(child, data_path, &child->failure);
  if (place < 0) return fail(&child->failure, "openat2");
  autoclose int lock = open(lock_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (lock < 0) return fail(&child->failure, "open");
  while (flock(lock, LOCK_EX) < 0)
    if (errno != EINTR) return fail(&child->failure, "flock");
  autoclose int data = open(data_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (data < 0) return fail(&child->failure, "open");
  autoclose int staging = open(staging_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (staging < 0) return fail(&child->failure, "open");
  return fill(place, data, staging, durable, &child->failure);
}
