/*
 * What a system call costs under a seccomp filter:
 *     syscall_cost COUNT NUMBER ARGUMENT < FILTER
 * makes COUNT calls under the filter on standard input (struct sock_filter[]; none: without a filter), a hundred times over,
 * and prints for each time the nanoseconds that a call took.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TIMES = 100 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv) {
  static struct sock_filter filter[BPF_MAXINSNS];
  if (argc != 4) return 2;
  long count = atol(argv[1]), number = atol(argv[2]), argument = atol(argv[3]);
  struct sock_fprog program = {.len = (unsigned short)fread(filter, sizeof(filter[0]), BPF_MAXINSNS, stdin), .filter = filter};
  /* As containers have it: no mitigation against speculative store bypass for a filter's sake. */
  if (program.len > 0 &&
      (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) < 0)) {
    perror("seccomp");
    return 1;
  }
  static double took[TIMES];
  for (int i = 0; i < TIMES; i++) {
    double start = now();
    for (long j = 0; j < count; j++) syscall(number, argument, 0, 0);
    took[i] = (now() - start) / (double)count;
  }
  for (int i = 0; i < TIMES; i++) printf("%.2f\n", took[i]);
  return 0;
}
