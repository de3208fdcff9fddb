#include "restored.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "clock.h"

/* The numbers behind `name` in /proc/PID/status; at most `room` of them. */
static uint32_t numbers_of(const char *status, const char *name, uint32_t *into, uint32_t room) {
  const char *line = strstr(status, name);
  uint32_t count = 0;
  if (!line) return 0;
  for (line += strlen(name); count < room; count++) {
    line += strspn(line, " \t");
    if (*line < '0' || *line > '9') break;
    char *end;
    into[count] = (uint32_t)strtoul(line, &end, 10);
    line = end;
  }
  return count;
}

/* Who it is, by the kernel's word, in the form of RECORD_EXECUTING. Its home is not known. */
static bool identify(struct process *process) {
  static char status[64 * 1024];
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/status", process->pid);
  if (read_file_at(AT_FDCWD, path, status, sizeof(status)) < 0) return false;
  uint32_t *words = calloc(4 + GROUPS_MAXIMUM, sizeof(uint32_t));
  if (!words) return false;
  numbers_of(status, "\nUid:", &words[0], 1);
  numbers_of(status, "\nGid:", &words[1], 1);
  words[2] = numbers_of(status, "\nGroups:", &words[3], GROUPS_MAXIMUM);
  words[3 + words[2]] = UINT32_MAX;
  free(process->identity);
  process->identity = (uint8_t *)words;
  process->identity_size = (4 + words[2]) * sizeof(uint32_t);
  return true;
}

int restored_take(struct process *process, pid_t pid) {
  siginfo_t info = {0};
  if (!process->started || process->dead) return ESRCH;
  if (pid <= 0 || pid == process->pid) return EINVAL;
  /* A child that we have not waited for keeps its pid, dead or alive: what is looked up from here on is its own. */
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return errno;
  int pidfd = sys_pidfd_open(pid);
  if (pidfd < 0) return errno;
  close_fd(&process->pidfd);
  process->pid = pid;
  process->pidfd = pidfd;
  process->started_at = now_ms();
  return identify(process) ? 0 : ESRCH;
}

static int take_stream(struct console *console, enum restored what, int *fd) {
  if (what == RESTORED_TERMINAL) return console_take_terminal(console, steal_fd(fd));
  if (fcntl(*fd, F_SETFL, O_NONBLOCK) < 0) return -1;
  console->input = steal_fd(fd);
  console->once = what == RESTORED_INPUT_ONCE;
  return 0;
}

int restored_adopt(struct monitor *monitor, pid_t pid, uint32_t what, int *fds, size_t count) {
  if (monitor->ending) return ESRCH;
  if (what > RESTORED_INPUT_ONCE || count != (what == RESTORED_ALONE ? 0 : 1)) return EINVAL;
  int error = restored_take(&monitor->main, pid);
  if (error != 0) return error;
  if (what != RESTORED_ALONE && take_stream(&monitor->main.console, what, &fds[0]) < 0) return errno;
  monitor_tell_all(monitor, FRAME_STARTED);
  health_begin(monitor, true);
  return 0;
}
