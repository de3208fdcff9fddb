#include "sandbox.h"

#include <grp.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>

#include "owner.h"

enum { NOBODY = 65534 };

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which architecture is this?"
#endif

int sandbox_rights(void) {
  /* In a user namespace there may be no nobody; who began as no root has nothing to give up either. */
  if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
      setresuid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL) {
    return -1;
  }
  if (give_up_capabilities() < 0) return -1;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int sandbox_calls(const unsigned *calls, size_t count, const struct sock_filter *before, size_t before_count) {
  static const struct sock_filter number = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  struct sock_filter code[256];
  if (before_count + 2 * count + 6 > array_length(code)) {
    errno = E2BIG;
    return -1;
  }
  size_t size = 0;
  code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  code[size++] = number;
  memcpy(code + size, before, before_count * sizeof(*before));
  size += before_count;
  /* What was let through there has arguments in the accumulator. */
  code[size++] = number;
  for (size_t i = 0; i < count; i++) {
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog program = {.len = (unsigned short)size, .filter = code};
  /* A kernel without seccomp(2) leaves it at that. */
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 && errno != EINVAL && errno != ENOSYS ? -1 : 0;
}
