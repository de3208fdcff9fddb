/* Paths in a hostile root: whatever its links say, nothing outside of it is found or made. */
#include "resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

static char base[] = "/tmp/podling-check-XXXXXX";
static int outside = -1;

/* Is there nothing in the directory beside the root? */
static bool untouched(void) {
  struct stat status;
  return fstatat(outside, "made", &status, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
         fstatat(outside, "made2", &status, AT_SYMLINK_NOFOLLOW) < 0;
}

static bool exists(int root, const char *path, mode_t type) {
  struct stat status;
  return fstatat(root, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && (status.st_mode & S_IFMT) == type;
}

static bool makes(int root, const char *path, enum made kind) {
  autoclose int fd = resolve_or_make(root, path, kind);
  return fd >= 0;
}

static void link_to(const char *target, int root, const char *name) {
  if (symlinkat(target, root, name) < 0) abort();
}

void test_resolve(void) {
  char root_path[64], outside_path[64];
  if (!mkdtemp(base)) abort();
  snprintf(root_path, sizeof(root_path), "%s/root", base);
  snprintf(outside_path, sizeof(outside_path), "%s/outside", base);
  if (mkdir(root_path, 0755) < 0 || mkdir(outside_path, 0755) < 0) abort();
  autoclose int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  outside = open(outside_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  mkdirat(root, "dir", 0755);
  link_to(outside_path, root, "absolute");
  link_to("../outside", root, "relative");
  link_to("../../../../../../outside", root, "far");
  link_to("loop", root, "loop");
  link_to("dir/later", root, "dangling");
  link_to("/dir/later2", root, "dangling-absolute");
  link_to("/proc/self/root", root, "magic");
  autoclose int file = openat(root, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

  check(makes(root, "/a/b/c", MAKE_DIRECTORY) && exists(root, "a/b/c", S_IFDIR), "missing directories are made");
  check(makes(root, "/a/b/c", MAKE_DIRECTORY), "and found again");
  check(makes(root, "x/y/file", MAKE_FILE) && exists(root, "x/y/file", S_IFREG), "a missing file is made");
  check(makes(root, "//x///y/../z/", MAKE_DIRECTORY) && exists(root, "x/z", S_IFDIR), "slashes and .. in between");
  check(makes(root, "/", MAKE_DIRECTORY) && makes(root, "", MAKE_DIRECTORY), "the root itself");
  check(makes(root, "../../up", MAKE_DIRECTORY) && exists(root, "up", S_IFDIR), ".. stops at the root");
  check(makes(root, "absolute/made", MAKE_DIRECTORY) && untouched(), "an absolute link stays inside");
  check(makes(root, "relative/made", MAKE_DIRECTORY) && untouched(), "a relative link stays inside");
  check(makes(root, "far/made2", MAKE_FILE) && untouched(), "a link far up stays inside");
  check(makes(root, "dangling", MAKE_FILE) && exists(root, "dir/later", S_IFREG), "what a dangling link names is made");
  check(makes(root, "dangling-absolute/deep", MAKE_DIRECTORY) && exists(root, "dir/later2/deep", S_IFDIR),
        "also in the middle");
  check(!makes(root, "loop", MAKE_DIRECTORY) && errno == ELOOP, "a loop is an error");
  check(!makes(root, "loop/x", MAKE_DIRECTORY) && errno == ELOOP, "also in the middle");
  check(!makes(root, "file/x", MAKE_DIRECTORY) && errno == ENOTDIR, "a file is no directory");
  check(!makes(root, "missing", MAKE_NOTHING) && errno == ENOENT, "nothing is made unless told to");
  /* In this root /proc does not exist, so the link dangles and its words are plain directories. */
  check(makes(root, "magic/made", MAKE_DIRECTORY) && exists(root, "proc/self/root/made", S_IFDIR) && untouched(),
        "a magic link of the host is none here");

  char longer[300];
  memset(longer, 'n', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  check(!makes(root, longer, MAKE_DIRECTORY) && errno == ENAMETOOLONG, "a name that is too long");
  char *longest = malloc(5001);
  if (!longest) abort();
  for (int i = 0; i < 5000; i++) longest[i] = i % 2 ? '/' : 'a';
  longest[5000] = '\0';
  check(!makes(root, longest, MAKE_DIRECTORY) && errno == ENAMETOOLONG, "a path that is too long");
  free(longest);

  const char *name;
  autoclose int parent = resolve_parent(root, "/relative/deep/name", &name);
  check(parent >= 0 && strcmp(name, "name") == 0 && untouched(), "a parent is made and the name left");
  check(resolve_parent(root, "/dir/..", &name) < 0 && resolve_parent(root, "/dir/", &name) < 0, "some paths have no name");

  autoclose int host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  autoclose int procfs = open_procfs(host);
  check(procfs >= 0, "the procfs of this machine is one");
  autoclose int sysctl = open_in_procfs(procfs, "sys/kernel/ostype", O_RDONLY);
  check(sysctl >= 0, "a sysctl is found in it");
  check(open_in_procfs(procfs, "self/status", O_RDONLY) < 0 && errno == ELOOP, "no link is followed");
  mkdirat(root, "proc", 0755);
  check(open_procfs(root) < 0 && errno == 0, "a directory that is called proc is none");

  char command[128];
  snprintf(command, sizeof(command), "rm -rf %s", base);
  check(system(command) == 0, "clean up");
}
