/* A user namespace with given maps, of which nothing but the maps is used: those of an idmapped mount (mount_setattr(2)). */
#include "idmap.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "common.h"

/* It shares our descriptors, so that it can open its own /proc for us: in a new pid namespace we don't know its name there. */
_Noreturn static void stand_in(int report, int wait) {
  int self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
  char word;
  if (write(report, &self, sizeof(self)) == (ssize_t)sizeof(self) && read(wait, &word, 1) < 0) _exit(1);
  _exit(0);
}

static int write_maps(int process, const char *uid_map, const char *gid_map) {
  if (write_file_at(process, "uid_map", uid_map, strlen(uid_map)) < 0) return -1;
  if (write_file_at(process, "gid_map", gid_map, strlen(gid_map)) < 0) return -1;
  return openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
}

int make_user_namespace(const char *uid_map, const char *gid_map) {
  int report[2], wait[2];
  if (pipe2(report, O_CLOEXEC) < 0) return -1;
  autoclose int report_read = report[0], report_write = report[1];
  if (pipe2(wait, O_CLOEXEC) < 0) return -1;
  autoclose int wait_read = wait[0], wait_write = wait[1];
  struct clone_args arguments = {.flags = CLONE_NEWUSER | CLONE_FILES, .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&arguments);
  if (pid < 0) return -1;
  if (pid == 0) stand_in(report_write, wait_read);
  int process = -1, made = -1;
  if (read_exactly(report_read, &process, sizeof(process)) != 1) errno = EIO;
  else if (process >= 0) made = write_maps(process, uid_map, gid_map);
  int error = errno;
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  close_fd(&process);
  errno = error;
  return made;
}
