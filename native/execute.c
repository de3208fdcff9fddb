/* The last step of a new process: execve(2) of a program that is found along PATH, by the way of execvp(3). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "child.h"

const char *lookup(char *const *environment, const char *name) {
  size_t size = strlen(name);
  for (; *environment; environment++)
    if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=') return *environment + size + 1;
  return NULL;
}

/* Where a program may be, one after the other. */
struct search {
  const char *program, *at; /* `at`: the rest of PATH; NULL: there is no more */
  char candidate[PATH_MAX];
};

static void begin_search(struct search *search, const char *program, char *const *environment) {
  const char *path = strchr(program, '/') ? "" : lookup(environment, "PATH");
  search->program = program;
  search->at = path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static const char *next_candidate(struct search *search) {
  const char *at = search->at;
  if (!at) return NULL;
  size_t size = strcspn(at, ":");
  search->at = at[size] == '\0' ? NULL : at + size + 1;
  if (strchr(search->program, '/')) return search->program;
  int length = snprintf(search->candidate, sizeof(search->candidate), "%.*s%s%s", (int)size, at, size > 0 ? "/" : "./",
                        search->program);
  if (length < 0 || (size_t)length >= sizeof(search->candidate)) search->candidate[0] = '\0';
  return search->candidate;
}

static int not_found(struct child *child, bool denied, bool interpreter) {
  errno = denied ? EACCES : ENOENT;
  enum reason reason = denied        ? REASON_COMMAND_NOT_EXECUTABLE
                       : interpreter ? REASON_INTERPRETER_NOT_FOUND
                                     : REASON_COMMAND_NOT_FOUND;
  return fail_because(&child->failure, reason, "execve");
}

/* A filter of the container's may know nothing of the calls that ask: then execve(2) is to say what there is. */
static bool tells(int error) {
  return error == EACCES || error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
}

int look_for_program(struct child *child, const char *program, char *const *environment) {
  struct search search;
  bool denied = false;
  begin_search(&search, program, environment);
  for (const char *file; *program && (file = next_candidate(&search));) {
    struct stat status;
    if (stat(file, &status) < 0) {
      if (!tells(errno)) return 0;
      denied = denied || errno == EACCES;
      continue;
    }
    if (S_ISREG(status.st_mode) && (faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) == 0 || !tells(errno))) return 0;
    denied = true;
    errno = EISDIR;
    if (S_ISDIR(status.st_mode) && file == search.program) return fail_because(&child->failure, REASON_COMMAND_NOT_EXECUTABLE, "execve");
  }
  return not_found(child, denied, false);
}

int execute(struct child *child, char **argv, char **environment) {
  struct search search;
  bool denied = false, interpreter = false;
  begin_search(&search, argv[0], environment);
  for (const char *file; *argv[0] && (file = next_candidate(&search));) {
    execve(file, argv, environment);
    switch (errno) {
      case EACCES: denied = true; break;
      case ENOENT: /* of the program, or of what its first line or its PT_INTERP names */
        interpreter = interpreter || faccessat(AT_FDCWD, file, X_OK, AT_EACCESS) == 0;
        break;
      case ENOTDIR:
      case ENAMETOOLONG:
      case ELOOP: break;
      case ENOEXEC: return fail_because(&child->failure, REASON_COMMAND_NOT_EXECUTABLE, "execve");
      default: return fail(&child->failure, "execve");
    }
  }
  return not_found(child, denied, interpreter);
}
