/*
 * Pasta daemonizes, and ends by itself only when a path of the network namespace vanishes. This makes a pid namespace
 * around it, whose first process ends with the container's stream, and with it all within; and a mount namespace, in which
 * the network namespace has a path that needs no rights over the container's processes to be opened. A pasta that is killed
 * is run again: the container goes on without anybody who would know.
 */
#include "attend.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "common.h"
#include "owner.h"

enum { STREAM_FD = 3, NETNS_FD = 4, FAILED = 125, SIGNALLED = 128 };
enum { FIRST_PAUSE = 50, LONGEST_PAUSE = 5000 }; /* milliseconds */

static void fail_at(const char *what) {
  perror(what);
  _exit(FAILED);
}

/* A place that needs no rights to be reached; visible in this mount namespace alone. */
static void show_namespace(void) {
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) fail_at("make a mount namespace");
  if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=4k") < 0) fail_at("mount /tmp");
  autoclose int file = open(ATTENDED_NETNS, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  char path[32];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", NETNS_FD);
  if (file < 0 || mount(path, ATTENDED_NETNS, NULL, MS_BIND, NULL) < 0) fail_at("mount the network namespace");
}

static pid_t start(char *const *command) {
  pid_t program = fork();
  if (program != 0) return program;
  sys_close_range(STREAM_FD, ~0U, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execvp(command[0], command);
  fail_at(command[0]);
  return -1;
}

static bool ended(int timeout, int children) {
  struct pollfd fds[] = {{.fd = STREAM_FD, .events = POLLIN}, {.fd = children, .events = POLLIN}};
  return poll(fds, children < 0 ? 1 : 2, timeout) > 0 && fds[0].revents != 0;
}

/* Until the stream ends. All that live here are what the program has left in the background. */
static void keep_running(char *const *command, int children) {
  int pause = FIRST_PAUSE;
  while (!ended(-1, children)) {
    struct signalfd_siginfo signal;
    if (read(children, &signal, sizeof(signal)) < 0) continue;
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) continue;
    if (pid == 0) continue;
    if (ended(pause, -1)) return;
    pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
    start(command);
  }
}

/* Pid 1 of the new namespace: with its end the kernel kills all others. */
static void attend(char *const *command, int report) {
  prctl(PR_SET_NAME, "podling-attend");
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  autoclose int ends = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  pid_t program = ends < 0 ? -1 : start(command);
  if (program < 0) fail_at("fork");
  int status;
  while (waitpid(program, &status, 0) < 0 && errno == EINTR) continue;
  uint8_t code = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status));
  /* Whoever waits for us reads stderr to its end. */
  autoclose int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) dup2(null, 2);
  write_all(report, &code, 1);
  close(report);
  close(NETNS_FD);
  if (code == 0) keep_running(command, ends);
  _exit(0);
}

int attend_main(char *const *command) {
  sys_close_range(NETNS_FD + 1, ~0U, 0);
  setsid();
  signals_default();
  signal(SIGPIPE, SIG_IGN);
  if (become_owner(NETNS_FD) < 0) fail_at("enter the user namespace of the network");
  show_namespace();
  int report[2];
  if (unshare(CLONE_NEWPID) < 0 || pipe2(report, O_CLOEXEC) < 0) fail_at("make a pid namespace");
  pid_t pid = fork();
  if (pid < 0) fail_at("fork");
  if (pid == 0) {
    close(report[0]);
    attend(command, report[1]);
  }
  close(report[1]);
  uint8_t code = FAILED;
  return read_exactly(report[0], &code, 1) == 1 ? code : FAILED;
}
