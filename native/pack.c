/*
 * The packer: see pack.h.
 *
 * Whoever fills the tree may change it while it is walked. So each entry is opened once, by one component, without
 * following (O_PATH | O_NOFOLLOW): what it is, is asked of that descriptor, and it is read through that descriptor
 * (/proc/self/fd, which is the host's). A file that becomes a symbolic link, a FIFO or a device in between is seen as one
 * or the other, and no FIFO and no device is ever opened.
 */
#include "pack.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "common.h"
#include "pack_links.h"
#include "unpack.h"

enum { BUFFER_SIZE = 256 * 1024, NAMES_LONGEST = 64 * 1024, XATTRS_LONGEST = 192 * 1024 };

struct packer {
  int in, out, descriptors, root;
  uint32_t flags;
  unsigned char *buffer;
  size_t used;
  unsigned char *xattrs;
  struct links links;
  char path[PATH_MAX]; /* of the entry in work, below the start */
  size_t path_length;
  const char *failed_call;
};

static int fail(struct packer *p, const char *call) {
  p->failed_call = call;
  return -1;
}

static int fail_with(struct packer *p, const char *call, int error) {
  errno = error;
  return fail(p, call);
}

static int flush(struct packer *p) {
  size_t used = p->used;
  p->used = 0;
  return write_all(p->out, p->buffer, used) < 0 ? fail(p, "write") : 0;
}

static int put(struct packer *p, const void *data, size_t size) {
  if (p->used + size > BUFFER_SIZE && flush(p) < 0) return -1;
  memcpy(p->buffer + p->used, data, size);
  p->used += size;
  return 0;
}

static int put_entry(struct packer *p, struct unpack_head *head, const char *path, const char *link,
                     const unsigned char *xattrs) {
  head->path_length = (uint16_t)strlen(path);
  head->link_length = (uint16_t)strlen(link);
  if (put(p, head, sizeof(*head)) < 0 || put(p, path, head->path_length) < 0) return -1;
  if (put(p, link, head->link_length) < 0) return -1;
  return head->xattrs_length == 0 ? 0 : put(p, xattrs, head->xattrs_length);
}

static uint32_t operation_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return UNPACK_DIRECTORY;
    case S_IFREG: return UNPACK_FILE;
    case S_IFLNK: return UNPACK_SYMLINK;
    case S_IFCHR: return UNPACK_CHARACTER;
    case S_IFBLK: return UNPACK_BLOCK;
    case S_IFIFO: return UNPACK_FIFO;
    default: return UNPACK_SOCKET;
  }
}

static struct unpack_head head_of(const struct stat *status) {
  return (struct unpack_head){
      .operation = operation_of(status->st_mode),
      .mode = status->st_mode & 07777,
      .uid = status->st_uid,
      .gid = status->st_gid,
      .size = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
      .seconds = status->st_mtim.tv_sec,
      .nanoseconds = (uint32_t)status->st_mtim.tv_nsec,
      .major = major(status->st_rdev),
      .minor = minor(status->st_rdev),
  };
}

/* The extended attributes of an open entry, as unpack.c reads them, into p->xattrs. Those that go meanwhile are left out. */
static int read_xattrs(struct packer *p, int fd, uint32_t *length) {
  static char names[NAMES_LONGEST];
  char number[16];
  *length = 0;
  /* By its number in /proc/self/fd: an O_PATH descriptor gives none itself, and of a symbolic link there is no other. */
  snprintf(number, sizeof(number), "%d", fd);
  if (fchdir(p->descriptors) < 0) return fail(p, "fchdir");
  ssize_t size = listxattr(number, names, sizeof(names));
  /* A file system without attributes has none. */
  if (size < 0) return errno == ENOTSUP || errno == EPERM || errno == EACCES ? 0 : fail(p, "listxattr");
  for (const char *name = names; name < names + size; name += strlen(name) + 1) {
    size_t name_length = strlen(name), used = *length;
    if (name_length > 255 || used + 6 + name_length > XATTRS_LONGEST) return fail_with(p, "listxattr", E2BIG);
    unsigned char *value = p->xattrs + used + 6 + name_length;
    ssize_t value_length = getxattr(number, name, value, XATTRS_LONGEST - (used + 6 + name_length));
    if (value_length < 0 && (errno == ENODATA || errno == ENOTSUP || errno == EPERM)) continue;
    if (value_length < 0) return fail(p, "getxattr");
    uint16_t short_length = (uint16_t)name_length;
    uint32_t long_length = (uint32_t)value_length;
    memcpy(p->xattrs + used, &short_length, 2);
    memcpy(p->xattrs + used + 2, &long_length, 4);
    memcpy(p->xattrs + used + 6, name, name_length);
    *length = (uint32_t)(used + 6 + name_length + (size_t)value_length);
  }
  return 0;
}

/* So many bytes of a file from an offset on. One that has become shorter ends in zeros, as with GNU tar. */
static int put_bytes(struct packer *p, int fd, uint64_t offset, uint64_t length) {
  while (length > 0) {
    if (p->used == BUFFER_SIZE && flush(p) < 0) return -1;
    size_t room = BUFFER_SIZE - p->used;
    size_t piece = length < room ? (size_t)length : room;
    ssize_t got = pread(fd, p->buffer + p->used, piece, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(p, "read");
    if (got == 0) {
      memset(p->buffer + p->used, 0, piece);
      got = (ssize_t)piece;
    }
    p->used += (size_t)got;
    offset += (uint64_t)got;
    length -= (uint64_t)got;
  }
  return 0;
}

static int put_contents(struct packer *p, int fd, uint64_t size) {
  char number[16];
  snprintf(number, sizeof(number), "%d", fd);
  autoclose int file = openat(p->descriptors, number, O_RDONLY | O_CLOEXEC);
  if (file < 0) return fail(p, "open");
  for (uint64_t at = 0; at < size;) {
    off_t data = lseek(file, (off_t)at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    /* A file system that knows no holes: all of it is there. */
    off_t hole = data < 0 ? (off_t)size : lseek(file, data, SEEK_HOLE);
    uint64_t start = data < 0 ? at : (uint64_t)data;
    uint64_t end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
    if (start >= size) break;
    if (end <= start) end = size;
    const uint64_t chunk[2] = {start, end - start};
    if (put(p, chunk, sizeof(chunk)) < 0 || put_bytes(p, file, start, end - start) < 0) return -1;
    at = end;
  }
  const uint64_t last[2] = {size, 0};
  return put(p, last, sizeof(last));
}

/* Made by the kernel as they are read: endless, or with an effect. */
static bool is_made_up(int fd) {
  static const long types[] = {PROC_SUPER_MAGIC,   SYSFS_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
                               DEBUGFS_MAGIC,      TRACEFS_MAGIC,    SECURITYFS_MAGIC,   BPF_FS_MAGIC,
                               EFIVARFS_MAGIC,     DEVPTS_SUPER_MAGIC, PSTOREFS_MAGIC};
  struct statfs status;
  if (fstatfs(fd, &status) < 0) return true;
  for (size_t i = 0; i < array_length(types); i++)
    if (status.f_type == types[i]) return true;
  return false;
}

static int pack_entry(struct packer *p, int fd);

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}

/* All names in a directory, in the order of their bytes, so that the same tree is told in the same way. */
static int list(struct packer *p, int fd, char ***names, size_t *count) {
  size_t room = 0;
  int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return fail(p, "open");
  DIR *entries = fdopendir(again);
  if (!entries) {
    close(again);
    return fail(p, "opendir");
  }
  errno = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (*count == room) {
      room = room ? room * 2 : 64;
      char **more = realloc(*names, room * sizeof(char *));
      if (!more) break;
      *names = more;
    }
    char *copy = strdup(entry->d_name);
    if (!copy) break;
    (*names)[(*count)++] = copy;
    errno = 0;
  }
  int error = errno;
  closedir(entries);
  if (error != 0) return fail_with(p, "readdir", error);
  if (*count > 0) qsort(*names, *count, sizeof(char *), by_bytes);
  return 0;
}

static int pack_children(struct packer *p, int fd) {
  char **names = NULL;
  size_t count = 0, length = p->path_length;
  int result = list(p, fd, &names, &count);
  for (size_t i = 0; result == 0 && i < count; i++) {
    int size = snprintf(p->path + length, sizeof(p->path) - length, "%s%s", length ? "/" : "", names[i]);
    if (size < 0 || (size_t)size >= sizeof(p->path) - length) {
      result = fail_with(p, "open", ENAMETOOLONG);
      break;
    }
    p->path_length = length + (size_t)size;
    autoclose int entry = openat(fd, names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (entry >= 0) result = pack_entry(p, entry);
    /* It went between the listing and now. */
    else if (errno != ENOENT) result = fail(p, "open");
    if (result == 0) {
      p->path_length = length;
      p->path[length] = '\0';
    }
  }
  int error = errno;
  free_names(names, count);
  errno = error;
  return result;
}

static int pack_file(struct packer *p, int fd, const struct stat *status, struct unpack_head *head) {
  if (status->st_nlink > 1) {
    const char *first = links_seen(&p->links, status->st_dev, status->st_ino, p->path);
    if (!first && errno != 0) return fail(p, "malloc");
    if (first) {
      head->operation = UNPACK_HARDLINK;
      head->size = 0;
      return put_entry(p, head, p->path, first, NULL);
    }
  }
  if (read_xattrs(p, fd, &head->xattrs_length) < 0) return -1;
  /* Nothing is read of what the kernel makes up. */
  bool bare = (p->flags & PACK_NAMES) != 0 || is_made_up(fd);
  if (is_made_up(fd)) head->size = 0;
  if (put_entry(p, head, p->path, "", p->xattrs) < 0) return -1;
  if (!bare) return put_contents(p, fd, head->size);
  const uint64_t last[2] = {head->size, 0};
  return put(p, last, sizeof(last));
}

static int pack_link(struct packer *p, int fd, struct unpack_head *head) {
  static char target[PATH_MAX];
  ssize_t length = readlinkat(fd, "", target, sizeof(target) - 1);
  if (length < 0) return fail(p, "readlink");
  target[length] = '\0';
  if (read_xattrs(p, fd, &head->xattrs_length) < 0) return -1;
  return put_entry(p, head, p->path, target, p->xattrs);
}

/* Tell of one entry, and of all below it. */
static int pack_entry(struct packer *p, int fd) {
  struct stat status;
  if (fstatat(fd, "", &status, AT_EMPTY_PATH) < 0) return fail(p, "fstat");
  struct unpack_head head = head_of(&status);
  if (S_ISREG(status.st_mode)) return pack_file(p, fd, &status, &head);
  if (S_ISLNK(status.st_mode)) return pack_link(p, fd, &head);
  if (read_xattrs(p, fd, &head.xattrs_length) < 0) return -1;
  if (put_entry(p, &head, p->path, "", p->xattrs) < 0) return -1;
  return S_ISDIR(status.st_mode) && !is_made_up(fd) ? pack_children(p, fd) : 0;
}

/* Where to begin. Detached from what is mounted in it, a copy of its mount shows what lies beneath. */
static int begin(struct packer *p, const char *path) {
  uint64_t flags = O_PATH | O_CLOEXEC | (p->flags & PACK_FOLLOW ? 0 : (uint64_t)O_NOFOLLOW);
  autoclose int fd = sys_openat2(p->root, *path ? path : ".", flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  if (fd < 0) return fail(p, "openat2");
  if ((p->flags & PACK_WITHOUT_MOUNTS) == 0) return steal_fd(&fd);
  int bare = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  return bare < 0 ? fail(p, "open_tree") : bare;
}

static int take_request(struct packer *p, struct unpack_head *head, char path[PATH_MAX]) {
  int got = read_exactly(p->in, head, sizeof(*head));
  if (got <= 0) return got < 0 ? fail(p, "read") : 0;
  if (head->path_length >= PATH_MAX) return fail_with(p, "read", ENAMETOOLONG);
  if (head->path_length > 0 && read_exactly(p->in, path, head->path_length) != 1) return fail_with(p, "read", EPIPE);
  path[head->path_length] = '\0';
  return 1;
}

/* What is at each path that comes: its head alone. No link is followed on the way, so that nothing else can answer. */
static int answer(struct packer *p) {
  for (;;) {
    struct unpack_head head;
    int got = take_request(p, &head, p->path);
    if (got <= 0) return got;
    autoclose int fd = sys_openat2(p->root, *p->path ? p->path : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
                                   RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
    struct stat status;
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return fail(p, "openat2");
    if (fd >= 0 && fstatat(fd, "", &status, AT_EMPTY_PATH) < 0) return fail(p, "fstat");
    head = fd >= 0 ? head_of(&status) : (struct unpack_head){.operation = UNPACK_MISSING};
    if (put_entry(p, &head, p->path, "", NULL) < 0) return -1;
    /* Whoever asks waits for the answers to what it has written so far, at the end of it at the latest. */
    if (p->used > BUFFER_SIZE / 2 && flush(p) < 0) return -1;
  }
}

static int run(struct packer *p, bool asked) {
  struct unpack_head head;
  static char path[PATH_MAX];
  /* A level of the tree takes a descriptor or two. */
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (chroot(".") < 0) return fail(p, "chroot");
  p->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (p->root < 0) return fail(p, "open");
  int got = take_request(p, &head, path);
  if (got < 0) return -1;
  if (got == 0 || head.operation != UNPACK_START || head.mode != UNPACK_VERSION) return fail_with(p, "read", EPROTO);
  p->flags = head.major;
  if (asked) return answer(p);
  autoclose int fd = begin(p, path);
  if (fd < 0) return -1;
  if (is_made_up(fd)) return fail_with(p, "openat2", EOPNOTSUPP);
  return pack_entry(p, fd);
}

int pack_main(int in, int out, int descriptors, bool asked) {
  static struct packer p;
  p = (struct packer){.in = in, .out = out, .descriptors = descriptors, .root = -1, .failed_call = "malloc"};
  p.buffer = malloc(BUFFER_SIZE);
  p.xattrs = malloc(XATTRS_LONGEST);
  if (!p.buffer || !p.xattrs) return 1;
  struct unpack_head end = {.operation = UNPACK_END};
  const char *call = "", *path = "";
  if (run(&p, asked) < 0) {
    end = (struct unpack_head){.operation = UNPACK_FAILED, .mode = (uint32_t)errno};
    call = p.failed_call;
    path = p.path;
  }
  return put_entry(&p, &end, path, call, NULL) < 0 || flush(&p) < 0;
}
