/*
 * Containers talk to the responder, which lives outside of them. Whoever finds a hole in it shall find himself as nobody,
 * without capabilities, in a process that can neither start programs nor open anything for writing.
 */
#include "dns_sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "owner.h"

enum { NOBODY = 65534, DESCRIPTORS = 16384 };

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "which architecture is this?"
#endif

static const unsigned allowed[] = {
    SYS_accept4,       SYS_bind,         SYS_brk,        SYS_clock_gettime, SYS_close,        SYS_connect,
    SYS_epoll_ctl,     SYS_epoll_pwait,  SYS_exit,       SYS_exit_group,    SYS_fcntl,        SYS_fstat,
    SYS_futex,         SYS_getdents64,   SYS_getrandom,  SYS_getsockopt,    SYS_ioctl,        SYS_listen,
    SYS_lseek,         SYS_madvise,      SYS_mmap,       SYS_mremap,        SYS_munmap,       SYS_newfstatat,
    SYS_pidfd_open,    SYS_read,         SYS_recvfrom,   SYS_recvmsg,       SYS_rt_sigreturn, SYS_sendmsg,
    SYS_sendto,        SYS_setsockopt,   SYS_socket,     SYS_statx,         SYS_write,        SYS_restart_syscall,
    SYS_ppoll,
#ifdef SYS_poll
    SYS_poll,
#endif
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_stat
    SYS_stat,
#endif
};

static int filter_calls(void) {
  enum { HEAD = 9, TAIL = 1 };
  struct sock_filter code[HEAD + 2 * (array_length(allowed) + 1) + TAIL];
  size_t size = 0;
  code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  /* openat for reading only: the low half of the third argument, as both architectures are little-endian. */
  code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]));
  code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1);
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  /* What was let through above has its flags in the accumulator; no number of a call is loaded any more. */
  code[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i <= array_length(allowed); i++) {
    unsigned call = i < array_length(allowed) ? allowed[i] : (unsigned)SYS_openat;
    code[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
    code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  }
  code[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
  struct sock_fprog program = {.len = (unsigned short)size, .filter = code};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}

int dns_enter_sandbox(void) {
  /* One for each container, and for each question that waits. */
  struct rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    rlim_t most = descriptors.rlim_max < DESCRIPTORS ? descriptors.rlim_max : DESCRIPTORS;
    if (descriptors.rlim_cur < most) descriptors.rlim_cur = most;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  /* In a user namespace there may be no nobody; who began as no root has nothing to give up either. */
  if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
      setresuid(NOBODY, NOBODY, NOBODY) < 0 && errno != EINVAL) {
    return -1;
  }
  if (give_up_capabilities() < 0) return -1;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  /* A kernel without seccomp(2) leaves it at that. */
  if (filter_calls() < 0 && errno != EINVAL && errno != ENOSYS) return -1;
  return 0;
}
