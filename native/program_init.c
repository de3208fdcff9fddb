/*
 * What pid 1 of a container with `init: true` becomes: it reaps what is orphaned, passes signals on, and ends as its child does.
 *
 *   podling-init PID      its child; all signals are blocked when it begins
 *
 * A program of its own and no part of the helper, which carries it (place_init.c) and puts it into the container: what runs from
 * a file of the container CRIU can restore, and the host's file is in nobody's reach by way of /proc/1/exe (CVE-2019-5736). Four
 * system calls, and no C library, so that it takes a page or two.
 */
#include <asm/unistd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

_Noreturn void begin(char **stack);

/* The kernel leaves the count of arguments and the arguments on the stack. */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n  mov %rsp, %rdi\n  call begin\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n  mov x0, sp\n  bl begin\n");
#endif

static long call(long number, long first, long second, long third, long fourth) {
#if defined(__x86_64__)
  register long last __asm__("r10") = fourth;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(first), "S"(second), "d"(third), "r"(last)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long number_in __asm__("x8") = number;
  register long result __asm__("x0") = first;
  register long second_in __asm__("x1") = second, third_in __asm__("x2") = third, fourth_in __asm__("x3") = fourth;
  __asm__ volatile("svc 0" : "+r"(result) : "r"(number_in), "r"(second_in), "r"(third_in), "r"(fourth_in) : "memory");
  return result;
#endif
}

static void reap(long main_child) {
  int status;
  for (long pid; (pid = call(__NR_wait4, -1, (long)&status, WNOHANG, 0)) > 0;) {
    if (pid != main_child) continue;
    /* An init can't be killed by a signal of its own, so the child's death by one is told in the shell's way. */
    call(__NR_exit_group, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), 0, 0, 0);
  }
}

_Noreturn void begin(char **stack) {
  const uint64_t all = ~UINT64_C(0); /* as the kernel has sets of signals */
  long main_child = 0;
  for (const char *digit = stack[2]; *digit; digit++) main_child = main_child * 10 + (*digit - '0');
  for (;;) {
    long taken = call(__NR_rt_sigtimedwait, (long)&all, 0, 0, sizeof(all));
    if (taken == SIGCHLD) reap(main_child);
    else if (taken > 0) call(__NR_kill, main_child, taken, 0, 0);
  }
}
