#include "protocol.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "plan.h"

int fail_because(struct failure *failure, enum reason reason, const char *syscall) {
  failure->reason = reason;
  failure->error = (uint32_t)errno;
  snprintf(failure->syscall, sizeof(failure->syscall), "%s", syscall);
  return -1;
}

int fail(struct failure *failure, const char *syscall) {
  return fail_because(failure, REASON_SYSCALL, syscall);
}

int receive_request(int socket, struct request *request, int fds[REQUEST_FDS], size_t *count) {
  union {
    char bytes[CMSG_SPACE(sizeof(int) * REQUEST_FDS)];
    struct cmsghdr align;
  } control;
  struct iovec iov = {.iov_base = request, .iov_len = sizeof(*request)};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  *count = 0;
  ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (got <= 0) return (int)got;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    *count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(part), *count * sizeof(int));
  }
  /* A request is sent by one sendmsg(2) of 16 bytes, which a unix socket never splits: less is a broken peer. */
  bool whole = (size_t)got == sizeof(*request);
  if (whole && !(message.msg_flags & MSG_CTRUNC)) return 1;
  for (size_t i = 0; i < *count; i++) close(fds[i]);
  *count = 0;
  /* The kernel cuts descriptors off when there is no room for them (unix(7)). */
  errno = whole ? EMFILE : EBADMSG;
  return -1;
}

bool send_frame(int socket, enum frame_kind kind, const void *head, size_t head_size, const void *tail,
                size_t tail_size) {
  uint32_t header[2] = {(uint32_t)(head_size + tail_size), kind};
  struct iovec parts[3] = {
      {.iov_base = header, .iov_len = sizeof(header)},
      {.iov_base = (void *)(uintptr_t)head, .iov_len = head_size},
      {.iov_base = (void *)(uintptr_t)tail, .iov_len = tail_size},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = array_length(parts)};
  ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent == (ssize_t)(sizeof(header) + head_size + tail_size);
}

int send_with(int socket, struct iovec *parts, size_t count, int descriptor) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(descriptor));
  struct msghdr message = {
      .msg_iov = parts, .msg_iovlen = count, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  size_t size = 0;
  for (size_t i = 0; i < count; i++) size += parts[i].iov_len;
  ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  if (sent >= 0 && (size_t)sent < size) errno = EMSGSIZE;
  return sent == (ssize_t)size ? 0 : -1;
}

void *receive_plan(int stream, size_t *size) {
  uint32_t length = 0;
  if (read_exactly(stream, &length, sizeof(length)) != 1) return NULL;
  if (length == 0 || length > PLAN_MAXIMUM) return NULL;
  /* Pages of its own, so that a big plan is given back whole and the heap of the monitor stays as small as it was. */
  void *bytes = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) return NULL;
  if (read_exactly(stream, bytes, length) != 1) {
    munmap(bytes, length);
    return NULL;
  }
  *size = length;
  return bytes;
}

/* As shells tell of a command that can't be run (POSIX, 2.8.2); all other reasons as Podman's own failures. */
uint32_t exit_code_of(const struct failure *failure) {
  if (failure->reason == REASON_COMMAND_NOT_FOUND) return 127;
  bool found = failure->reason == REASON_COMMAND_NOT_EXECUTABLE || failure->reason == REASON_INTERPRETER_NOT_FOUND;
  return found ? 126 : 125;
}
