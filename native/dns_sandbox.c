/*
 * Containers talk to the responder, which lives outside of them. Whoever finds a hole in it shall find himself as nobody,
 * without capabilities, in a process that can neither start programs nor open anything for writing.
 */
#include "dns_sandbox.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sandbox.h"

enum { DESCRIPTORS = 16384 };

static const unsigned allowed[] = {
    SYS_accept4,       SYS_bind,         SYS_brk,        SYS_clock_gettime, SYS_close,        SYS_connect,
    SYS_epoll_ctl,     SYS_epoll_pwait,  SYS_exit,       SYS_exit_group,    SYS_fcntl,        SYS_fstat,
    SYS_futex,         SYS_getdents64,   SYS_getrandom,  SYS_getsockopt,    SYS_ioctl,        SYS_listen,
    SYS_lseek,         SYS_madvise,      SYS_mmap,       SYS_mremap,        SYS_munmap,       SYS_newfstatat,
    SYS_pidfd_open,    SYS_read,         SYS_recvfrom,   SYS_recvmsg,       SYS_rt_sigreturn, SYS_sendmsg,
    SYS_sendto,        SYS_setsockopt,   SYS_socket,     SYS_statx,         SYS_write,        SYS_restart_syscall,
    SYS_ppoll,         SYS_openat,
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

/* openat for reading only: the low half of the third argument, as both architectures are little-endian. */
static const struct sock_filter reading_only[] = {
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};

int dns_enter_sandbox(void) {
  /* One for each container, and for each question that waits. */
  struct rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    rlim_t most = descriptors.rlim_max < DESCRIPTORS ? descriptors.rlim_max : DESCRIPTORS;
    if (descriptors.rlim_cur < most) descriptors.rlim_cur = most;
    setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  if (sandbox_rights() < 0) return -1;
  return sandbox_calls(allowed, array_length(allowed), reading_only, array_length(reading_only));
}
