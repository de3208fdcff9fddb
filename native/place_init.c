/* The program of an init (program_init.c), which this helper carries, as a file of the container. */
#include "child.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "resolve.h"

__asm__(".pushsection .rodata\n"
        "init_program:\n.incbin \"" INIT_PROGRAM "\"\ninit_program_end:\n"
        ".popsection\n");
extern const char init_program[] __attribute__((visibility("hidden")));
extern const char init_program_end[] __attribute__((visibility("hidden")));

/* In a file system of the container's own, that is new: nothing can be there. */
int op_place_init(struct child *child, struct reader *fields) {
  const char *path = read_text(fields), *name;
  autoclose int parent = resolve_parent(child->root, path, &name);
  if (parent < 0) return fail(&child->failure, "openat2");
  autoclose int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0555);
  if (fd < 0) return fail(&child->failure, "openat");
  if (write_all(fd, init_program, (size_t)(init_program_end - init_program)) < 0) return fail(&child->failure, "write");
  return fchmod(fd, 0555) < 0 ? fail(&child->failure, "fchmod") : 0;
}
