/*
 * The parting of a new process from its maker (detach.c), which is to be gone when it runs: whoever reaps orphans there, a
 * shim's subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), waits for it then. One whose start is another command's waits for
 * that on a FIFO, with all behind it that can fail: it has its user, its rights and its filter, and its program is there.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "child.h"

static const char *program;

/* The FIFO is open for writing too, so that it has no end as long as nobody writes. */
static int wait_for_start(const struct child *child) {
  char word;
  ssize_t got;
  do got = read(start_fd(child->plan), &word, sizeof(word));
  while (got < 0 && errno == EINTR);
  close(start_fd(child->plan));
  return got == 1 ? 0 : -1;
}

int op_part(struct child *child, struct reader *fields) {
  program = read_text(fields);
  char **environment = strings(read_texts(fields), NULL);
  bool awaits_start = read_u8(fields) == 1;
  if (!environment) return fail(&child->failure, "calloc");
  wait_to_go_on(child);
  if (take_identity(child) < 0) return -1;
  if (look_for_program(child, program, environment) < 0) return -1;
  if (tell_identity(child, RECORD_READY) < 0) return fail(&child->failure, "write");
  wait_for_word();
  if (prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_PDEATHSIG");
  child->parted = true;
  uint32_t parted = RECORD_PARTED;
  if (tell(&parted, sizeof(parted)) < 0) return fail(&child->failure, "write");
  if (!awaits_start) return 0;
  close(link_fd);
  link_fd = -1;
  return wait_for_start(child) < 0 ? fail(&child->failure, "read") : 0;
}

static void tell_of_hook(const struct failure *failure) {
  char words[64];
  snprintf(words, sizeof(words), "%s", strsignal((int)failure->error));
  words[0] = (char)tolower(words[0]);
  dprintf(STDERR_FILENO, "error running hook: ");
  if (failure->reason == REASON_HOOK_KILLED) dprintf(STDERR_FILENO, "signal: %s\n", words);
  else if (failure->reason == REASON_HOOK_LATE) dprintf(STDERR_FILENO, "it took longer than its timeout\n");
  else dprintf(STDERR_FILENO, "exit status %u\n", failure->error);
}

void part_failed(const struct failure *failure) {
  uint32_t reason = failure->reason;
  if (failure->said[0]) dprintf(STDERR_FILENO, "%s\n", failure->said);
  if (reason == REASON_HOOK_KILLED || reason == REASON_HOOK_EXITED || reason == REASON_HOOK_LATE) {
    tell_of_hook(failure);
    _exit(1);
  }
  if (strcmp(failure->syscall, "execve") != 0) dprintf(STDERR_FILENO, "%s: ", failure->syscall);
  else dprintf(STDERR_FILENO, "exec %s: ", program);
  dprintf(STDERR_FILENO, "%s\n", strerror((int)failure->error));
  _exit(1);
}
