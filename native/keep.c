/*
 * The keeper of a volume that is more than a directory: it mounts the volume in a mount namespace of its own, where nobody
 * else sees it, and gives copies of that mount to the containers that use it. It lives for as long as somebody holds a
 * connection to it: the monitor of each such container does. So whatever is killed, nothing stays mounted and no program
 * stays behind.
 *
 *   podling-helper keep within PID ...                     one of these, in the user and the mount namespace of a process
 *   podling-helper keep init PROGRAM ARGUMENT...           run a program to its end
 *   podling-helper keep fuse SOCKET TARGET PROGRAM ARGUMENT...
 *                                                          run a FUSE server, which sends SIGUSR1 to us when it has mounted
 *   podling-helper keep root SOCKET TARGET PROGRAM ARGUMENT...
 *                                                          run a FUSE server in the foreground that tells nobody when it has
 *                                                          mounted, for the root of a container
 *   podling-helper keep mount SOCKET TARGET TYPE SOURCE ATTRIBUTES OPTION...
 *                                                          a file system of the kernel's; a file is put behind a loop device
 *   podling-helper keep luks SOCKET TARGET CRYPTSETUP MAPPING FILE [PROGRAM ARGUMENT...]
 *                                                          the ext4 in a file of LUKS, by a mapping of this name that goes with
 *                                                          it; the program makes it there first, on the device that it gets
 *
 * On descriptor 3 comes u32 size and a secret of that size, which the program reads on its standard input and which is kept
 * nowhere. The answer there is `k`, and but for init that connection is the first of those that keep us alive; or `f`, u8 exit code of the program, u32 errno, and text: the call that failed, or what the program said.
 * Others connect to SOCKET. There `h` is answered with `k`, and `m` with `k` and a descriptor of a new copy of the mount.
 */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "common.h"
#include "keep_mount.h"
#include "keep_program.h"

enum { USERS_MAXIMUM = 4096, LAST_GRACE_MS = 5000 };
/* Longer than the host waits for an answer. */
enum { BEGINNING_SECONDS = 90 };

/* The only copy here; it is blank again when a program has it. */
static struct secret secret;

/*
 * In the middle of a mount from a server that does not answer nothing but SIGKILL is heard, and there is nobody to send it:
 * whoever has not begun by then ends.
 */
static timer_t begin_or_end(void) {
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  const struct itimerspec time = {.it_value.tv_sec = BEGINNING_SECONDS};
  timer_t timer;
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 || timer_settime(timer, 0, &time, NULL) < 0) give_up("timer_create");
  return timer;
}

static int initialise(char *const *command) {
  begin_or_end();
  receive_secret(&secret);
  int said, status = finish_program((const char *const *)command, &secret, &said);
  if (status == 0) return send(CONTROL_FD, "k", 1, MSG_NOSIGNAL) == 1 ? 0 : 1;
  answer_exit(status, said);
  return 1;
}

/* Run the server and wait until it has mounted. */
static pid_t start_fuse(char *const *command, const sigset_t *signals) {
  int said, status;
  char notify[32];
  snprintf(notify, sizeof(notify), "-notifypid=%d", getpid());
  size_t count = 0;
  while (command[count]) count++;
  const char **arguments = calloc(count + 2, sizeof(char *));
  if (!arguments) give_up("calloc");
  arguments[0] = command[0];
  arguments[1] = notify;
  for (size_t i = 1; i < count; i++) arguments[i + 1] = command[i];
  receive_secret(&secret);
  pid_t pid = run_program(arguments, &secret, &said);
  free(arguments);
  for (;;) {
    int number = sigwaitinfo(signals, NULL);
    if (number == SIGUSR1) break;
    if (number == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid) {
      answer_exit(status, said);
      _exit(1);
    }
    if (number == SIGTERM) _exit(1);
  }
  /* Nobody reads on, and it must not wait for that. */
  close(said);
  return pid;
}

/* Run a server and look until something is mounted. */
static pid_t start_root(char *const *command, const char *target, const sigset_t *signals) {
  int said, status;
  struct stat before, now;
  const struct timespec pause = {.tv_nsec = 1000 * 1000};
  if (stat(target, &before) < 0) give_up("stat");
  receive_secret(&secret);
  pid_t pid = run_program((const char *const *)command, &secret, &said);
  while (stat(target, &now) < 0 || now.st_dev == before.st_dev) {
    int number = sigtimedwait(signals, NULL, &pause);
    if (number == SIGCHLD && waitpid(pid, &status, WNOHANG) == pid) {
      answer_exit(status, said);
      _exit(1);
    }
    if (number == SIGTERM) _exit(1);
  }
  close(said);
  return pid;
}

static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    give_up("bind");
  }
  memcpy(address.sun_path, path, strlen(path) + 1);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) give_up("socket");
  /* Whoever starts us holds the volume's lock and has found that nobody answers here. */
  if (unlink(path) < 0 && errno != ENOENT) give_up("unlink");
  mode_t before = umask(0177);
  if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 128) < 0) give_up("bind");
  umask(before);
  return listener;
}

/* A copy of the mount for one container. */
static void give_mount(int user, const char *target) {
  autoclose int copy = open_tree(AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (copy < 0) return;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {0};
  char word = 'k';
  struct iovec part = {.iov_base = &word, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
  control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), &copy, sizeof(int));
  sendmsg(user, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* False: it has gone. */
static bool serve_user(int user, const char *target) {
  char word;
  ssize_t got = recv(user, &word, 1, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  if (word == 'm') give_mount(user, target);
  if (word == 'h') send(user, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  return true;
}

/* Until nobody is left, or the file system's server has died and there is nothing to keep. */
static void serve(int listener, int signals, const char *target, pid_t server) {
  static struct pollfd polled[2 + USERS_MAXIMUM];
  polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
  polled[1] = (struct pollfd){.fd = signals, .events = POLLIN};
  polled[2] = (struct pollfd){.fd = CONTROL_FD, .events = POLLIN};
  nfds_t count = 3;
  while (count > 2) {
    polled[0].events = count < array_length(polled) ? POLLIN : 0;
    if (poll(polled, count, -1) < 0) continue;
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
      if (info.ssi_signo == SIGTERM) return;
      if (server > 0 && info.ssi_signo == SIGCHLD && waitpid(server, NULL, WNOHANG) == server) return;
    }
    for (nfds_t i = 2; i < count;) {
      if (polled[i].revents == 0 || serve_user(polled[i].fd, target)) {
        i++;
        continue;
      }
      close(polled[i].fd);
      polled[i] = polled[--count];
    }
    if (!(polled[0].revents & POLLIN)) continue;
    int user = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (user >= 0) polled[count++] = (struct pollfd){.fd = user, .events = POLLIN};
  }
}

/* The containers have let go; with our own mount the last one goes, and the server ends by itself when all is written. */
static void finish(const char *target, pid_t server) {
  umount2(target, MNT_DETACH);
  if (server <= 0) return;
  const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
  for (int waited = 0; waited < LAST_GRACE_MS; waited += 10) {
    if (waitpid(server, NULL, WNOHANG) != 0) return;
    nanosleep(&pause, NULL);
  }
  kill(server, SIGKILL);
}

enum work { WORK_FUSE, WORK_ROOT, WORK_KERNEL, WORK_LUKS };

/* Beside the data there must be room for what is no part of it (fill.c). */
static void make_data(const char *target) {
  autoclose int root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0 || (mkdirat(root, "_data", 0755) < 0 && errno != EEXIST && errno != EROFS)) give_up("mkdirat");
}

static int keep(char *const *arguments, enum work work) {
  const char *path = arguments[0], *target = arguments[1];
  timer_t beginning = begin_or_end();
  /* A slave: what the host unmounts is not held here, and what is mounted here is not seen there. */
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) give_up("unshare");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  pid_t server = -1;
  if (work == WORK_ROOT) {
    /* A server that has it writes past every disk quota, and into what is kept for root; overlay goes without it, too. */
    if (prctl(PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) < 0) give_up("prctl");
    server = start_root(arguments + 2, target, &signals);
  } else if (work == WORK_FUSE) {
    server = start_fuse(arguments + 2, &signals);
    make_data(target);
  } else if (work == WORK_LUKS) {
    mount_luks(target, arguments + 2);
    make_data(target);
  } else {
    receive_secret(&secret);
    mount_kernel(target, arguments + 2);
  }
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd < 0) give_up("signalfd");
  int listener = listen_at(path);
  timer_delete(beginning);
  if (send(CONTROL_FD, "k", 1, MSG_NOSIGNAL) == 1) serve(listener, signal_fd, target, server);
  /* First the name, so that nobody comes any more; then those who came, who find it closed and start another. */
  unlink(path);
  close(listener);
  finish(target, server);
  return 0;
}

/* Those of an ordinary user (rootless.c), where he may mount, and from where alone his monitors can take a mount. */
static void enter_namespaces(pid_t pid) {
  autoclose int process = sys_pidfd_open(pid);
  if (process < 0) give_up("pidfd_open");
  if (setns(process, CLONE_NEWUSER | CLONE_NEWNS) < 0) give_up("setns");
}

int keep_main(char *const *arguments) {
  sys_close_range(CONTROL_FD + 1, ~0U, 0);
  /* A child of the host would have to be waited for by it. */
  pid_t pid = fork();
  if (pid != 0) return pid < 0;
  setsid();
  prctl(PR_SET_NAME, "podling-volume");
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (chdir("/") < 0) give_up("chdir");
  umask(022);
  size_t count = 0;
  while (arguments[count]) count++;
  if (count >= 2 && strcmp(arguments[0], "within") == 0) {
    enter_namespaces((pid_t)strtol(arguments[1], NULL, 10));
    arguments += 2;
    count -= 2;
  }
  if (count >= 2 && strcmp(arguments[0], "init") == 0) return initialise(arguments + 1);
  if (count >= 4 && strcmp(arguments[0], "fuse") == 0) return keep(arguments + 1, WORK_FUSE);
  if (count >= 4 && strcmp(arguments[0], "root") == 0) return keep(arguments + 1, WORK_ROOT);
  if (count >= 6 && strcmp(arguments[0], "mount") == 0) return keep(arguments + 1, WORK_KERNEL);
  if (count >= 6 && strcmp(arguments[0], "luks") == 0) return keep(arguments + 1, WORK_LUKS);
  errno = EINVAL;
  give_up("keep");
}
