/* This helper as a pid 1: of a container with `init: true`, and of a pod. */
#include "child.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* Reap all that is dead. Ends the process when the main child, where there is one, is among them. */
static void reap(pid_t main_child) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != main_child) continue;
    /* An init can't be killed by a signal of its own, so the child's death by one is told in the shell's way. */
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  }
}

static void let_go(void) {
  close(link_fd);
  sys_close_range((unsigned)link_fd + 1, ~0U, 0);
  for (int fd = 0; fd < 3; fd++) close(fd);
}

/*
 * Returns where it may not be executed: on a file system of the caller's, by rules of landlock(7) or of a security module. Then
 * the helper itself is the init, as well as the other, but for checkpoints.
 */
static void execute_init(const char *program, pid_t main_child) {
  char name[PATH_MAX], number[16], *const nothing[] = {NULL};
  snprintf(name, sizeof(name), "%s", program);
  snprintf(number, sizeof(number), "%d", main_child);
  execve(program, (char *const[]){name, number, NULL}, nothing);
}

/* Reaps what is orphaned, passes signals on, and ends as its child does. */
int become_init(struct child *child, const char *program) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  /* Blocked before the fork, so that no signal is lost in between. */
  if (sigprocmask(SIG_SETMASK, &all, NULL) < 0) return fail(&child->failure, "sigprocmask");
  pid_t main_child = fork();
  if (main_child < 0) return fail(&child->failure, "fork");
  if (main_child == 0) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_PDEATHSIG");
    /* A group of its own: what is typed for the foreground reaches it once, and not through its init again. */
    bool terminal = child->plan->stdio[0] == STDIO_TERMINAL;
    if (terminal && (setpgid(0, 0) < 0 || tcsetpgrp(0, getpid()) < 0)) return fail(&child->failure, "tcsetpgrp");
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0) return fail(&child->failure, "sigprocmask");
    return 0;
  }
  /* The child alone reports from here; while we held the link, the monitor would not see its end. */
  let_go();
  if (program) execute_init(program, main_child);
  prctl(PR_SET_NAME, "podling-init");
  for (;;) {
    int signal = sigwaitinfo(&all, NULL);
    if (signal == SIGCHLD) reap(main_child);
    else if (signal > 0) kill(main_child, signal);
  }
}

void become_holder(void) {
  sigset_t taken;
  sigfillset(&taken);
  sigprocmask(SIG_SETMASK, &taken, NULL);
  prctl(PR_SET_NAME, "podling-pod");
  /* With the end of the link the monitor knows that the pod stands. */
  let_go();
  for (;;) {
    int signal = sigwaitinfo(&taken, NULL);
    /* Where the pod shares its pid namespace, this is what orphans of all its containers fall to. */
    if (signal == SIGCHLD) reap(0);
    else if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) _exit(0);
  }
}
