/*
 * The floor of the benchmark: what one container costs in bare system calls, and a stop watch for whole commands.
 *
 *     floor container own|host|bridge COUNT ROOTFS DIRECTORY   namespaces, overlay, proc, dev, sys, pivot_root, exec, wait
 *     floor command COUNT PROGRAM ARGUMENT...                  spawn and wait; "@@" in an argument becomes the run's number
 *
 * Each run prints one line of microseconds: "TO_EXEC TO_EXIT". The set-up runs in this one small process, so no cost of
 * starting it is in the numbers. There is no cgroup, seccomp filter, log or user in here: a runtime does more. With `bridge`, a container is linked to a bridge that is there
 * already, gets an address and a default route; there are no firewall rules.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor_bridge.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static void must(int result, const char *what) {
  if (result < 0) {
    dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
    _exit(99);
  }
}

static void node(const char *path, unsigned major_number, unsigned minor_number) {
  must(mknod(path, S_IFCHR | 0666, makedev(major_number, minor_number)), path);
}

/*
 * Inside the new namespaces. `options` name the overlay's directories, `merged` is where it stands until the pivot; from
 * `word`, if there is one, comes a byte when the container has its link.
 */
static void become_container(const char *merged, const char *options, int word, int run) {
  char byte;
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make the mounts private");
  must(mount("overlay", merged, "overlay", MS_NODEV, options), "mount the overlay");
  must(chdir(merged), "enter the root");
  must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
  must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"), "mount dev");
  must(mkdir("dev/pts", 0755), "mkdir dev/pts");
  must(mkdir("dev/shm", 0755), "mkdir dev/shm");
  must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"), "mount devpts");
  must(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k"), "mount shm");
  node("dev/null", 1, 3);
  node("dev/zero", 1, 5);
  node("dev/full", 1, 7);
  node("dev/random", 1, 8);
  node("dev/urandom", 1, 9);
  node("dev/tty", 5, 0);
  must(symlink("pts/ptmx", "dev/ptmx"), "symlink ptmx");
  must(symlink("/proc/self/fd", "dev/fd"), "symlink fd");
  must(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount sys");
  must(sethostname("floor", 5), "sethostname");
  must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(umount2(".", MNT_DETACH), "detach the old root");
  must(chdir("/"), "chdir");
  if (word >= 0) {
    if (read(word, &byte, 1) != 1) _exit(99);
    configure_link(run);
  }
  char *const argv[] = {"/bin/true", NULL};
  char *const env[] = {"PATH=/bin", NULL};
  execve(argv[0], argv, env);
  must(-1, "exec /bin/true");
}

/* `bridge`: the index of the one to link to, or 0. */
static void container(const char *network, int bridge, const char *rootfs, const char *directory, int run) {
  char upper[4096], work[4096], merged[4096], options[16384];
  snprintf(merged, sizeof merged, "%s/merged", directory);
  snprintf(upper, sizeof upper, "%s/upper-%d", directory, run);
  snprintf(work, sizeof work, "%s/work-%d", directory, run);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", rootfs, upper, work);
  int ends[2], words[2] = {-1, -1};
  char nothing;

  double start = now();
  if (mkdir(upper, 0755) != 0 || mkdir(work, 0755) != 0) fail("mkdir");
  if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe2");
  if (bridge != 0 && pipe2(words, O_CLOEXEC) != 0) fail("pipe2");
  struct clone_args args;
  memset(&args, 0, sizeof args);
  args.exit_signal = SIGCHLD;
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
  if (strcmp(network, "host") != 0) args.flags |= CLONE_NEWNET;
  pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (child < 0) fail("clone3");
  if (child == 0) become_container(merged, options, words[0], run);
  close(ends[1]);
  if (bridge != 0) {
    link_to_bridge(bridge, child);
    if (write(words[1], "g", 1) != 1) fail("write");
  }
  if (read(ends[0], &nothing, 1) != 0) fail("read"); /* the other end closes with the exec */
  double executed = now();
  int status;
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  double ended = now();
  if (status != 0) exit(1); /* the child has said why */
  close(ends[0]);
  if (bridge != 0) {
    close(words[0]);
    close(words[1]);
  }
  printf("%.1f %.1f\n", executed - start, ended - start);
}

/* "@@" becomes the number of the run, so that each container gets a name of its own. */
static char *numbered(const char *argument, int run) {
  const char *mark = strstr(argument, "@@");
  char *text = NULL;
  if (mark == NULL) return strdup(argument);
  if (asprintf(&text, "%.*s%d%s", (int)(mark - argument), argument, run, mark + 2) < 0) fail("asprintf");
  return text;
}

static void command(char *const *words, int count, int run) {
  char **argv = calloc((size_t)count + 1, sizeof *argv);
  if (argv == NULL) fail("calloc");
  for (int i = 0; i < count; i++) argv[i] = numbered(words[i], run);
  double start = now();
  pid_t child = vfork();
  if (child < 0) fail("vfork");
  if (child == 0) {
    execvp(argv[0], argv);
    _exit(127);
  }
  double executed = now();
  int status;
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  double ended = now();
  if (status != 0) {
    fprintf(stderr, "%s ended with status %d\n", argv[0], WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    exit(1);
  }
  for (int i = 0; i < count; i++) free(argv[i]);
  free(argv);
  printf("%.1f %.1f\n", executed - start, ended - start);
}

int main(int argc, char **argv) {
  if (argc == 6 && strcmp(argv[1], "container") == 0) {
    int bridge = strcmp(argv[2], "bridge") == 0 ? make_bridge() : 0;
    for (int run = 0; run < atoi(argv[3]); run++) container(argv[2], bridge, argv[4], argv[5], run);
    if (bridge != 0) remove_bridge();
    return 0;
  }
  if (argc >= 4 && strcmp(argv[1], "command") == 0) {
    /* Numbers go on from process to process, since some runtimes don't forget a name at once. */
    int first = (int)getpid() * 1000;
    for (int run = 0; run < atoi(argv[2]); run++) command(argv + 3, argc - 3, first % 1000000000 + run);
    return 0;
  }
  fprintf(stderr, "usage: floor container own|host|bridge COUNT ROOTFS DIRECTORY | floor command COUNT PROGRAM ARGUMENT...\n");
  return 2;
}
