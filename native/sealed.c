#include "sealed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "common.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3: said outright, as vm.memfd_noexec may make non-executable the default */
#endif

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

int become_sealed(char *argv[]) {
  autoclose int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (own < 0) return -1;
  /* Only a memfd has seals: a file of any other kind answers EINVAL. */
  if (fcntl(own, F_GET_SEALS) == SEALS) return 0;
  struct stat status;
  if (fstat(own, &status) < 0) return -1;
  int copy = memfd_create("podling-helper", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (copy < 0 && errno == EINVAL) copy = memfd_create("podling-helper", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0) return -1;
  autoclose int owned = copy;
  for (off_t left = status.st_size; left > 0;) {
    ssize_t sent = sendfile(owned, own, NULL, (size_t)left);
    if (sent < 0) return -1;
    if (sent == 0) break;
    left -= sent;
  }
  if (fcntl(owned, F_ADD_SEALS, SEALS) < 0) return -1;
  /* Not argv as it came: its first word is a path of the host, and an init shows it to its container. */
  static char name[] = "podling";
  char *const nothing[] = {NULL};
  argv[0] = name;
  fexecve(owned, argv, nothing);
  return -1;
}
