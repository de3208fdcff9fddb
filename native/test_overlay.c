/* The overlay by mount(2), which kernels before 6.8 need; every kernel can do it, as long as all the layers fit. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"
#include "test.h"

enum { LAYERS = 120 };

static uint8_t bytes[64 * 1024];

/* A list of texts: layers with paths of more than 100 bytes. */
static struct list layers(const char *base) {
  size_t size = 0;
  for (int i = 0; i < LAYERS; i++) {
    char path[256];
    snprintf(path, sizeof(path), "%s/%064d", base, i);
    mkdir(path, 0755);
    snprintf(path, sizeof(path), "%s/%064d/diff", base, i);
    mkdir(path, 0755);
    char file[300];
    snprintf(file, sizeof(file), "%s/file-%d", path, i);
    mkdir(file, 0755);
    uint32_t length = (uint32_t)strlen(path);
    memcpy(bytes + size, &length, sizeof(length));
    memcpy(bytes + size + sizeof(length), path, length + 1);
    size += sizeof(length) + length + 1;
  }
  return (struct list){.count = LAYERS, .items = {.at = bytes, .end = bytes + size}};
}

/* In a mount namespace of its own: how many of the layers are seen. */
static int count_layers(const char *base) {
  struct list lower = layers(base), none = {0};
  struct failure failure = {0};
  char upper[300], work[300], at[300];
  snprintf(upper, sizeof(upper), "%s/upper", base);
  snprintf(work, sizeof(work), "%s/work", base);
  snprintf(at, sizeof(at), "%s/at", base);
  mkdir(upper, 0755);
  mkdir(work, 0755);
  mkdir(at, 0755);
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return 0;
  if (mount_overlay_old(&lower, upper, work, &none, at, &failure) < 0) {
    printf("# %s: %s\n", failure.syscall, strerror((int)failure.error));
    return 0;
  }
  int seen = 0;
  for (int i = 0; i < LAYERS; i++) {
    char file[400];
    snprintf(file, sizeof(file), "%s/file-%d", at, i);
    if (access(file, F_OK) == 0) seen++;
  }
  return seen;
}

void test_overlay(void) {
  if (geteuid() != 0) {
    check(true, "an overlay by mount(2) # SKIP not root");
    return;
  }
  char base[] = "/tmp/podling-check-XXXXXX", command[128];
  if (!mkdtemp(base)) abort();
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) _exit(count_layers(base));
  int status;
  waitpid(pid, &status, 0);
  check(WIFEXITED(status) && WEXITSTATUS(status) == LAYERS, "%d layers with long paths, by mount(2)", LAYERS);
  snprintf(command, sizeof(command), "rm -rf %s", base);
  check(system(command) == 0, "clean up");
}
