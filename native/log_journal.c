/*
 * systemd-journald by its native protocol: one datagram an entry, `FIELD=value` lines; one that is too large for a datagram
 * goes as a sealed memory file (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). Sent to the socket's path each time, so that a
 * journald that was away is found again by the next line.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "log.h"

enum {
  PATIENCE = 100, /* ms that a line waits for a journald that doesn't read; the monitor has other things to do */
  PAUSE = 1000, /* ms after that in which none waits */
  SEND_BUFFER = 8 * 1024 * 1024, /* as systemd's own clients have it */
};

static int open_socket(struct log *log) {
  errno = ENAMETOOLONG;
  if (strlen(log->plan->target) >= sizeof(((struct sockaddr_un *)0)->sun_path)) return -1;
  log->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (log->fd < 0) return -1;
  int size = SEND_BUFFER;
  if (setsockopt(log->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
    setsockopt(log->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  struct timeval patience = {.tv_usec = PATIENCE * 1000};
  return setsockopt(log->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

static uint64_t monotonic_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool send_as_file(const struct log *log, struct msghdr *message) {
  autoclose int file = memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (file < 0) return false;
  for (size_t i = 0; i < message->msg_iovlen; i++)
    if (write_all(file, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len) < 0) return false;
  /* journald takes none that its sender could change while it reads. */
  if (fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) return false;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &file, sizeof(file));
  struct msghdr passing = {.msg_name = message->msg_name,
                           .msg_namelen = message->msg_namelen,
                           .msg_control = &control,
                           .msg_controllen = sizeof(control)};
  return sendmsg(log->fd, &passing, MSG_NOSIGNAL) >= 0;
}

static bool send_entry(struct log *log, struct msghdr *message) {
  bool waits = log->waits_after == 0 || monotonic_ms() >= log->waits_after;
  if (sendmsg(log->fd, message, MSG_NOSIGNAL | (waits ? 0 : MSG_DONTWAIT)) >= 0) {
    log->waits_after = 0;
    return true;
  }
  if (errno == EMSGSIZE || errno == ENOBUFS) return send_as_file(log, message);
  if (errno == EAGAIN && waits) log->waits_after = monotonic_ms() + PAUSE;
  return false;
}

static void write_entries(struct log *log, enum log_stream stream, char *bytes, size_t size) {
  static char informational[] = "PRIORITY=6\n", error[] = "PRIORITY=3\n", name[] = "MESSAGE=";
  static char partial[] = "CONTAINER_PARTIAL_MESSAGE=true\n", newline[] = "\n";
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, log->plan->target, strlen(log->plan->target) + 1);
  struct iovec fields = {.iov_len = strlen(log->plan->fields)};
  memcpy(&fields.iov_base, &log->plan->fields, sizeof(fields.iov_base));
  struct log_line line;
  for (const char *at = bytes, *end = bytes + size; log_next_line(&at, end, &line);) {
    struct iovec parts[] = {
        fields,
        {.iov_base = stream == LOG_STDOUT ? informational : error, .iov_len = sizeof(error) - 1},
        {.iov_base = partial, .iov_len = line.whole ? 0 : sizeof(partial) - 1},
        {.iov_base = name, .iov_len = sizeof(name) - 1},
        {.iov_base = bytes + (line.text - bytes), .iov_len = line.size},
        {.iov_base = newline, .iov_len = 1},
    };
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = sizeof(address),
                             .msg_iov = parts,
                             .msg_iovlen = array_length(parts)};
    if (!send_entry(log, &message)) log_lose(log, 1);
  }
}

const struct log_driver log_journal = {.open = open_socket, .write = write_entries};
