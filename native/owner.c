#include "owner.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common.h"

enum { OWNED_FD = 5 };

int become_root_of(int user_namespace) {
  struct stat theirs, ours;
  if (fstat(user_namespace, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0) return -1;
  if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino) return 0;
  if (setns(user_namespace, CLONE_NEWUSER) < 0) return -1;
  /* Where a namespace has a single id, its groups are not to be set (user_namespaces(7)). */
  if (setgroups(0, NULL) < 0 && errno != EPERM) return -1;
  return setresgid(0, 0, 0) < 0 ? -1 : setresuid(0, 0, 0);
}

int become_owner(int netns) {
  autoclose int owner = ioctl(netns, NS_GET_USERNS);
  return owner < 0 ? -1 : become_root_of(owner);
}

int give_up_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
  return (int)syscall(SYS_capset, &header, none);
}

int own_main(char *const *command) {
  if (become_owner(OWNED_FD) < 0) {
    perror("enter the user namespace of the network");
    return 1;
  }
  close(OWNED_FD);
  execv(command[0], command);
  perror(command[0]);
  return 1;
}
