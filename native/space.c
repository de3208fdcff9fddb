/*
 * The network namespace that the bridges of an ordinary user are in: a process that keeps it, and does there what hosts can't
 * do from outside. A socket belongs to the network namespace of its maker, whoever has it: so hosts speak netlink themselves.
 *
 * One for a run directory. It ends when nobody has the lock of USERS any more, shared among hosts and monitors; with it what
 * it began, as all that ends with its own streams. One that is killed is begun again by whoever notices, in the same namespace
 * as long as anybody is in that: nothing here is worth keeping.
 *
 * A request is one message (SOCK_SEQPACKET), its answer another: u32 errno, then bytes, or a descriptor.
 */
#include "space.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common.h"
#include "dns_server.h"
#include "forward.h"
#include "owner.h"

enum { USER_FD = 3, NETWORK_FD = 4, REPORT_FD = 3 };
enum { LAST, LISTENER, WAY_OUT, FIXED }; /* what is polled beside clients */
enum { CLIENTS = 512, ROOM = 64 * 1024, DESCRIPTORS = 253, ARGUMENTS = 64 };

/* lib/network/rootless/space-channel.ts has them too. */
enum request_kind {
  SPACE_SOCKET = 1, /* u32 domain, type, protocol: a socket */
  SPACE_NAMESPACE = 2, /* the network namespace */
  SPACE_READ = 3, /* text path below /proc/sys/net: what is in it */
  SPACE_WRITE = 4, /* text path, text value */
  SPACE_WATCH = 5, /* a pipe: closed when this ends; a byte comes when the way out has ended */
  SPACE_FORWARD = 6, /* forward.h: targets; the stream, and the sockets */
  SPACE_NAMES = 7, /* the arguments of dns_main, texts; its report */
  SPACE_WAY_OUT = 8, /* a pipe that a way out has the other end of, kept as long as this lives; without one: is there any? */
};

struct request {
  uint32_t kind;
  const char *bytes; /* NUL behind them */
  size_t size;
  int fds[DESCRIPTORS];
  size_t fd_count;
};

static struct pollfd polled[FIXED + CLIENTS];
static int watches[CLIENTS];
static size_t client_count;
static int users = -1;

static int fail_as(const char *what) {
  perror(what);
  return 1;
}

static int loopback_up(void) {
  autoclose int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

static int enter(void) {
  if (become_root_of(USER_FD) < 0) return -1;
  if (fcntl(NETWORK_FD, F_GETFD) >= 0) return setns(NETWORK_FD, CLONE_NEWNET);
  return unshare(CLONE_NEWNET) < 0 ? -1 : loopback_up();
}

static int open_listener(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(address.sun_path, path);
  autoclose int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  unlink(path); /* of one that was killed: whoever starts us has seen to it that there is no other */
  if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) return -1;
  return steal_fd(&fd);
}

/*
 * A descriptor that ends when nobody has the lock any more. flock(2) knows no other way to wait than to sleep, so a process
 * does; the lock itself is ours as well, by the open file, until we are gone: whoever gets it then finds nobody here.
 */
static int await_last(const char *path) {
  int ends[2];
  users = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (users < 0 || pipe2(ends, O_CLOEXEC) < 0) return -1;
  pid_t pid = fork();
  if (pid < 0) return -1;
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_NAME, "podling-net-end");
    for (int fd = 0; fd < 1024; fd++)
      if (fd != users && fd != ends[1]) close(fd);
    while (flock(users, LOCK_EX) < 0 && errno == EINTR) continue;
    _exit(0);
  }
  close(ends[1]);
  return ends[0];
}

/* A process of its own, in this namespace, with nothing of ours but what it is given. */
static pid_t begin(void) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  for (size_t i = 0; i < client_count + FIXED; i++) close(polled[i].fd);
  for (size_t i = 0; i < client_count; i++)
    if (watches[i] >= 0) close(watches[i]);
  close(users);
  signal(SIGCHLD, SIG_DFL);
  return 0;
}

static int names(const struct request *request) {
  char *arguments[ARGUMENTS + 1];
  size_t count = 0;
  for (const char *at = request->bytes; at < request->bytes + request->size && count < ARGUMENTS; at += strlen(at) + 1)
    arguments[count++] = strdup(at);
  arguments[count] = NULL;
  int error = 0;
  if (count < 5 || request->fd_count != 1) error = EINVAL;
  else {
    pid_t pid = begin();
    if (pid == 0) {
      if (dup2(request->fds[0], REPORT_FD) < 0) _exit(1);
      _exit(dns_main(arguments, count));
    }
    if (pid < 0) error = errno;
  }
  for (size_t i = 0; i < count; i++) free(arguments[i]);
  return error;
}

static int forward(const struct request *request) {
  if (request->fd_count < 2 || request->size != (request->fd_count - 1) * sizeof(struct forward_target)) return EINVAL;
  pid_t pid = begin();
  if (pid == 0) {
    struct forward_target targets[DESCRIPTORS];
    memcpy(targets, request->bytes, request->size);
    _exit(forward_main(request->fds[0], request->fds + 1, targets, request->fd_count - 1));
  }
  return pid < 0 ? errno : 0;
}

/* What is below /proc/sys/net is that of whoever looks. */
static int open_sysctl(const char *path, int flags) {
  autoclose int directory = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return directory < 0 ? -1 : sys_openat2(directory, path, (uint64_t)(flags | O_CLOEXEC), 0, RESOLVE_BENEATH);
}

static int write_sysctl(const struct request *request) {
  size_t size = strlen(request->bytes);
  if (size >= request->size) return EINVAL;
  const char *value = request->bytes + size + 1;
  autoclose int fd = open_sysctl(request->bytes, O_WRONLY);
  return fd < 0 || write(fd, value, strlen(value)) < 0 ? errno : 0;
}

static int make_socket(const struct request *request, int *fd) {
  uint32_t numbers[3];
  if (request->size != sizeof(numbers)) return EINVAL;
  memcpy(numbers, request->bytes, sizeof(numbers));
  *fd = socket((int)numbers[0], (int)numbers[1] | SOCK_CLOEXEC | SOCK_NONBLOCK, (int)numbers[2]);
  return *fd < 0 ? errno : 0;
}

static int way_out(struct request *request) {
  if (request->fd_count == 0) {
    struct pollfd end = {.fd = polled[WAY_OUT].fd};
    return end.fd < 0 || poll(&end, 1, 0) != 0 ? ENOENT : 0;
  }
  close_fd(&polled[WAY_OUT].fd);
  polled[WAY_OUT].fd = steal_fd(&request->fds[0]);
  return 0;
}

static void answer(int client, int error, const char *bytes, size_t size, int fd) {
  uint32_t number = (uint32_t)error;
  struct iovec parts[] = {{&number, sizeof(number)}, {(void *)(uintptr_t)bytes, size}};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (fd >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
  }
  sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve(size_t index, struct request *request) {
  int client = polled[FIXED + index].fd, error = 0;
  autoclose int fd = -1;
  static char text[ROOM];
  ssize_t size = 0;
  switch (request->kind) {
    case SPACE_SOCKET: error = make_socket(request, &fd); break;
    case SPACE_NAMESPACE:
      fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
      error = fd < 0 ? errno : 0;
      break;
    case SPACE_READ: {
      autoclose int file = open_sysctl(request->bytes, O_RDONLY);
      size = file < 0 ? -1 : read(file, text, sizeof(text));
      error = size < 0 ? errno : 0;
      break;
    }
    case SPACE_WRITE: error = write_sysctl(request); break;
    case SPACE_WATCH:
      if (request->fd_count != 1 || watches[index] >= 0) error = EINVAL;
      else watches[index] = steal_fd(&request->fds[0]);
      break;
    case SPACE_FORWARD: error = forward(request); break;
    case SPACE_NAMES: error = names(request); break;
    case SPACE_WAY_OUT: error = way_out(request); break;
    default: error = EINVAL;
  }
  answer(client, error, text, size > 0 ? (size_t)size : 0, fd);
}

/* False: it has ended. */
static bool receive(size_t index) {
  static char room[ROOM + 1];
  union {
    char bytes[CMSG_SPACE(sizeof(int) * DESCRIPTORS)];
    struct cmsghdr align;
  } control;
  struct iovec part = {room, ROOM};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  ssize_t got = recvmsg(polled[FIXED + index].fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  struct request request = {.bytes = room + sizeof(uint32_t)};
  for (struct cmsghdr *rights = CMSG_FIRSTHDR(&message); rights; rights = CMSG_NXTHDR(&message, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) continue;
    request.fd_count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(request.fds, CMSG_DATA(rights), request.fd_count * sizeof(int));
  }
  bool whole = got >= (ssize_t)sizeof(uint32_t) && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
  if (whole) {
    memcpy(&request.kind, room, sizeof(uint32_t));
    room[got] = '\0';
    request.size = (size_t)got - sizeof(uint32_t);
    serve(index, &request);
  }
  for (size_t i = 0; i < request.fd_count; i++) close_fd(&request.fds[i]);
  return whole;
}

static void forget(size_t index) {
  close(polled[FIXED + index].fd);
  if (watches[index] >= 0) close(watches[index]);
  client_count--;
  polled[FIXED + index] = polled[FIXED + client_count];
  watches[index] = watches[client_count];
}

/* Nobody has its other end any more. Hosts begin it again, and containers on internal networks don't miss it. */
static void tell_way_out(void) {
  close_fd(&polled[WAY_OUT].fd);
  for (size_t i = 0; i < client_count; i++)
    if (watches[i] >= 0 && write(watches[i], "", 1) < 0 && errno != EAGAIN) close_fd(&watches[i]);
}

static int keep(void) {
  for (;;) {
    polled[LAST].events = polled[LISTENER].events = POLLIN;
    polled[WAY_OUT].events = 0;
    /* Who comes when there is no room for him waits. */
    int listener = polled[LISTENER].fd;
    if (client_count == CLIENTS) polled[LISTENER].fd = -1;
    int ready = poll(polled, (nfds_t)(FIXED + client_count), -1);
    polled[LISTENER].fd = listener;
    if (ready < 0) continue;
    if (polled[LAST].revents) return 0;
    if (polled[WAY_OUT].revents) tell_way_out();
    for (size_t i = client_count; i-- > 0;)
      if (polled[FIXED + i].revents && !receive(i)) forget(i);
    if (client_count == CLIENTS || !polled[LISTENER].revents) continue;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    polled[FIXED + client_count] = (struct pollfd){.fd = fd, .events = POLLIN};
    watches[client_count++] = -1;
  }
}

int space_main(const char *socket_path, const char *users_path) {
  sys_close_range(NETWORK_FD + 1, ~0U, 0);
  setsid();
  signals_default();
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN); /* the kernel reaps what is begun here */
  prctl(PR_SET_NAME, "podling-net");
  if (chdir("/") < 0) return fail_as("chdir");
  if (enter() < 0) return fail_as("enter the network namespace");
  close(USER_FD);
  close(NETWORK_FD);
  polled[WAY_OUT].fd = -1;
  polled[LAST].fd = await_last(users_path);
  if (polled[LAST].fd < 0) return fail_as(users_path);
  polled[LISTENER].fd = open_listener(socket_path);
  if (polled[LISTENER].fd < 0) return fail_as(socket_path);
  autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return fail_as("/dev/null");
  /* Whoever started us reads these to their end. */
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  return keep();
}
