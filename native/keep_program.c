#include "keep_program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

enum { SAID_MAXIMUM = 4096 };

void answer_failure(uint8_t code, uint32_t error, const char *text) {
  uint8_t head[6] = {'f', code};
  memcpy(head + 2, &error, sizeof(error));
  send(CONTROL_FD, head, sizeof(head), MSG_NOSIGNAL);
  send(CONTROL_FD, text, strlen(text), MSG_NOSIGNAL);
}

void give_up(const char *call) {
  answer_failure(FAILED, (uint32_t)errno, call);
  _exit(1);
}

void receive_secret(struct secret *secret) {
  uint32_t size;
  if (read_exactly(CONTROL_FD, &size, sizeof(size)) != 1 || size > sizeof(secret->bytes)) _exit(1);
  if (size > 0 && read_exactly(CONTROL_FD, secret->bytes, size) != 1) _exit(1);
  secret->size = size;
}

pid_t run_program(const char *const *command, struct secret *secret, int *said) {
  int input[2], output[2];
  if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0) give_up("pipe2");
  pid_t parent = getpid(), pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    if (secret) explicit_bzero(secret, sizeof(*secret));
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
    execve(command[0], (char *const *)(uintptr_t)command, environment);
    _exit(FAILED);
  }
  close(input[0]);
  close(output[1]);
  if (secret) {
    /* It fits into the pipe, so that a program that doesn't read it can't hold us up. */
    if (write_all(input[1], secret->bytes, secret->size) < 0 && errno != EPIPE) give_up("write");
    explicit_bzero(secret, sizeof(*secret));
  }
  close(input[1]);
  *said = output[0];
  return pid;
}

int finish_program(const char *const *command, struct secret *secret, int *said) {
  int status;
  pid_t pid = run_program(command, secret, said);
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) give_up("waitpid");
  return status;
}

void answer_exit(int status, int said) {
  char text[SAID_MAXIMUM + 1];
  size_t size = 0;
  fcntl(said, F_SETFL, O_NONBLOCK);
  for (ssize_t got; size < SAID_MAXIMUM && (got = read(said, text + size, SAID_MAXIMUM - size)) > 0;) size += (size_t)got;
  text[size] = '\0';
  answer_failure((uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)), 0, text);
}
