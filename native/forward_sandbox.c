/* The whole world may talk to a forwarder. It passes bytes on between sockets of the internet, and nothing else. */
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "forward.h"
#include "sandbox.h"

static const unsigned allowed[] = {
    SYS_accept4,    SYS_brk,        SYS_clock_gettime, SYS_close,      SYS_connect,         SYS_epoll_ctl, SYS_epoll_pwait,
    SYS_exit_group, SYS_getsockopt, SYS_listen,        SYS_madvise,    SYS_mmap,            SYS_mremap,    SYS_munmap,
    SYS_pipe2,      SYS_recvfrom,   SYS_recvmsg,       SYS_rt_sigreturn, SYS_restart_syscall, SYS_sendmsg, SYS_sendto,
    SYS_setsockopt, SYS_shutdown,   SYS_socket,        SYS_splice,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
};

/* What listens at a path of the host would be reached by a socket of another family. */
static const struct sock_filter internet_only[] = {
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 4),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};

int forward_enter_sandbox(void) {
  return sandbox_calls(allowed, array_length(allowed), internet_only, array_length(internet_only));
}
