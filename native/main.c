/*
 * podling-helper: the one native program of Podling. lib/launch starts it; it is of no use by hand.
 *
 *   podling-helper launcher [DIRECTORY...]
 *                                      serve requests from descriptor 3 (launcher.c); keep a warm slot below these
 *                                      cgroup v1 directories (slot.c)
 *   podling-helper rootless [DIRECTORY...]
 *                                      the same, for an ordinary user: in namespaces of his own (rootless.c)
 *   podling-helper detach ...          make one process of a container, and leave it to others (detach.c)
 *   podling-helper unpack DIRECTORY    perform the operations that come on 0 in DIRECTORY, results on 1 (unpack.c)
 *   podling-helper dns NAME DIRECTORY RESOLV_CONF|- ADDRESS/PREFIX...
 *                                      answer questions for the names of one network (dns.c); tell on 3 how it began
 *   podling-helper keep ...            keep a volume mounted for its containers (keep.c)
 *   podling-helper own PROGRAM...      run a program as root of the network namespace on 5 (owner.c)
 *   podling-helper space SOCKET USERS  keep a network namespace, and do for hosts what must be done in it (space.c)
 *   podling-helper attend PROGRAM...   run a program that goes into the background until the stream on 3 ends (attend.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "attend.h"
#include "common.h"
#include "detach.h"
#include "dns_server.h"
#include "keep.h"
#include "launcher.h"
#include "owner.h"
#include "rootless.h"
#include "sealed.h"
#include "space.h"
#include "unpack.h"

/* Copy arguments and blank them out: an init is this program too, and shows its command line to its container. */
static char *const *take_arguments(int count, char **arguments) {
  char **copies = calloc((size_t)count + 1, sizeof(char *));
  if (!copies) _exit(1);
  for (int i = 0; i < count; i++) {
    copies[i] = strdup(arguments[i]);
    if (!copies[i]) _exit(1);
    memset(arguments[i], 0, strlen(arguments[i]));
  }
  return copies;
}

int main(int argc, char **argv) {
  static char launcher[] = "launcher";
  if (argc >= 2 && strcmp(argv[1], "rootless") == 0) {
    int failed = rootless_enter();
    if (failed) return failed;
    argv[1] = launcher;
  }
  bool launches = argc >= 2 && strcmp(argv[1], launcher) == 0;
  bool detaches = argc == 5 && strcmp(argv[1], "detach") == 0;
  if (launches || detaches) {
    if (become_sealed(argv) < 0) {
      perror("podling-helper: copy into a sealed memfd");
      return 1;
    }
    /* Until its execve a new process holds what the host sent; nothing of a container may look into it, nor a dump. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    char *const *arguments = take_arguments(argc - 2, argv + 2);
    if (detaches) detach_main(arguments);
    return launcher_main(arguments, (size_t)argc - 2);
  }
  if (argc == 3 && strcmp(argv[1], "unpack") == 0) return unpack_main(0, 1, argv[2]);
  if (argc >= 7 && strcmp(argv[1], "dns") == 0) return dns_main(argv + 2, (size_t)argc - 2);
  if (argc >= 3 && strcmp(argv[1], "keep") == 0) return keep_main(argv + 2);
  if (argc == 4 && strcmp(argv[1], "space") == 0) return space_main(argv[2], argv[3]);
  if (argc >= 3 && strcmp(argv[1], "own") == 0) return own_main(argv + 2);
  if (argc >= 3 && strcmp(argv[1], "attend") == 0) return attend_main(argv + 2);
  fputs("usage: podling-helper launcher|rootless [DIRECTORY...] | podling-helper unpack DIRECTORY | podling-helper dns ... |\n"
        "podling-helper detach ... | podling-helper keep ... | podling-helper space ... | podling-helper own|attend PROGRAM...\n", stderr);
  return 2;
}
