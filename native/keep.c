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
 *
 * On descriptor 3 comes u32 size and a secret of that size, which the program reads as one line on its standard input and
 * which is kept nowhere. The answer there is `k`, and for fuse and mount that connection is the first of those that keep us
 * alive; or `f`, u8 exit code of the program, u32 errno, and text: the call that failed, or what the program said.
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
#include "loop.h"
#include "mounts.h"

enum { CONTROL_FD = 3, SECRET_MAXIMUM = 4096, SAID_MAXIMUM = 4096, USERS_MAXIMUM = 4096 };
enum { FAILED = 255 }; /* in the place of a program's exit code: it was a call of ours */
enum { LAST_GRACE_MS = 5000 };

static void answer_failure(uint8_t code, uint32_t error, const char *text) {
  uint8_t head[6] = {'f', code};
  memcpy(head + 2, &error, sizeof(error));
  send(CONTROL_FD, head, sizeof(head), MSG_NOSIGNAL);
  send(CONTROL_FD, text, strlen(text), MSG_NOSIGNAL);
}

_Noreturn static void give_up(const char *call) {
  answer_failure(FAILED, (uint32_t)errno, call);
  _exit(1);
}

/* The secret, with a line's end. Its memory is blanked out by whoever has passed it on. */
static size_t receive_secret(char secret[SECRET_MAXIMUM + 1]) {
  uint32_t size;
  if (read_exactly(CONTROL_FD, &size, sizeof(size)) != 1 || size > SECRET_MAXIMUM) _exit(1);
  if (size > 0 && read_exactly(CONTROL_FD, secret, size) != 1) _exit(1);
  secret[size] = '\n';
  return size + 1;
}

/* The program, as our child. What it says comes back on `said`. It ends when we do, however that is. */
static pid_t run_program(char *const *command, int *said) {
  char secret[SECRET_MAXIMUM + 1];
  size_t size = receive_secret(secret);
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0) give_up("pipe2");
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    explicit_bzero(secret, sizeof(secret));
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(FAILED);
    autoclose int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (dup2(input[0], 0) < 0 || dup2(null, 1) < 0 || dup2(output[1], 2) < 0) _exit(FAILED);
    sys_close_range(3, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* It needs nothing of an environment, and finds nothing of the host's. */
    char *const environment[] = {NULL};
    execve(command[0], command, environment);
    _exit(FAILED);
  }
  close(input[0]);
  close(output[1]);
  /* It fits into the pipe, so that a program that doesn't read it can't hold us up. */
  if (write_all(input[1], secret, size) < 0 && errno != EPIPE) give_up("write");
  explicit_bzero(secret, sizeof(secret));
  close(input[1]);
  *said = output[0];
  return pid;
}

/* What it said, in one text. */
static void answer_exit(int status, int said) {
  char text[SAID_MAXIMUM + 1];
  size_t size = 0;
  fcntl(said, F_SETFL, O_NONBLOCK);
  for (ssize_t got; size < SAID_MAXIMUM && (got = read(said, text + size, SAID_MAXIMUM - size)) > 0;) size += (size_t)got;
  text[size] = '\0';
  answer_failure((uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)), 0, text);
}

static int initialise(char *const *command) {
  int said, status;
  pid_t pid = run_program(command, &said);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) give_up("waitpid");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return send(CONTROL_FD, "k", 1, MSG_NOSIGNAL) == 1 ? 0 : 1;
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
  char **arguments = calloc(count + 2, sizeof(char *));
  if (!arguments) give_up("calloc");
  arguments[0] = command[0];
  arguments[1] = notify;
  for (size_t i = 1; i < count; i++) arguments[i + 1] = command[i];
  pid_t pid = run_program(arguments, &said);
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
  pid_t pid = run_program(command, &said);
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

/* type, source, attributes, options... */
static void mount_kernel(const char *target, char *const *arguments) {
  const char *type = arguments[0], *source = arguments[1];
  uint32_t attributes = (uint32_t)strtoul(arguments[2], NULL, 10);
  char device[32], said[SAID_MAXIMUM];
  struct stat status;
  autoclose int loop = -1;
  bool file = *source == '/' && stat(source, &status) == 0 && S_ISREG(status.st_mode);
  if (file) {
    loop = open_loop(source, attributes & MOUNT_ATTR_RDONLY, device);
    if (loop < 0) give_up("set up a loop device");
  }
  autoclose int made = make_file_system(type, file ? device : source, attributes, arguments + 3, said, sizeof(said));
  if (made < 0) {
    answer_failure(FAILED, (uint32_t)errno, said);
    _exit(1);
  }
  if (move_mount(made, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) give_up("move_mount");
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

enum work { WORK_FUSE, WORK_ROOT, WORK_KERNEL };

static int keep(char *const *arguments, enum work work) {
  const char *path = arguments[0], *target = arguments[1];
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
    /* Beside the data there must be room for what is no part of it (fill.c). */
    autoclose int root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || (mkdirat(root, "_data", 0755) < 0 && errno != EEXIST && errno != EROFS)) give_up("mkdirat");
  } else {
    char none[SECRET_MAXIMUM + 1];
    receive_secret(none);
    mount_kernel(target, arguments + 2);
  }
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signal_fd < 0) give_up("signalfd");
  int listener = listen_at(path);
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
  errno = EINVAL;
  give_up("keep");
}
