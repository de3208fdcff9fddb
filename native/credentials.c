/* Who the process is and what it may do, in the one order that works. */
#include "child.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "passwd.h"

int op_user(struct child *child, struct reader *fields) {
  const char *user = read_text(fields);
  struct list extra = read_texts(fields);
  child->set_home = read_u8(fields) == 1;
  if (find_identity(child->root, user, &extra, &child->identity, &child->failure) < 0) return -1;
  child->has_user = true;
  return 0;
}

int op_ids(struct child *child, struct reader *fields) {
  struct identity *identity = &child->identity;
  *identity = (struct identity){.uid = read_u32(fields), .gid = read_u32(fields)};
  struct list groups = read_texts(fields);
  child->set_home = read_u8(fields) == 1;
  errno = EINVAL;
  if (groups.count > GROUPS_MAXIMUM) return fail(&child->failure, "setgroups");
  for (uint32_t i = 0; i < groups.count; i++) {
    const char *group = read_text(&groups.items);
    if (!parse_id((struct field){group, strlen(group)}, &identity->groups[identity->count++]))
      return fail(&child->failure, "setgroups");
  }
  child->has_user = true;
  return child->set_home ? find_home(child->root, identity, &child->failure) : 0;
}

int op_capabilities(struct child *child, struct reader *fields) {
  /* While a hook of the image runs, this helper waits beside it with all its rights: nothing to be traced by it. */
  uint64_t mask = child->hook ? ~(UINT64_C(1) << CAP_SYS_PTRACE) : ~UINT64_C(0);
  child->effective = read_u64(fields) & mask;
  child->permitted = read_u64(fields) & mask;
  child->inheritable = read_u64(fields) & mask;
  child->bounding = read_u64(fields) & mask;
  child->ambient = read_u64(fields) & mask;
  child->has_capabilities = true;
  return take_identity(child);
}

static int drop_bounding(struct child *child) {
  for (unsigned long capability = 0; capability < 64; capability++) {
    if (child->bounding >> capability & 1 || prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return 0; /* past the last that this kernel knows */
    int error = errno;
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 0) continue; /* not held, so there is nothing to drop */
    errno = error;
    return fail(&child->failure, "prctl PR_CAPBSET_DROP");
  }
  return 0;
}

static int set_capabilities(struct child *child) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)(child->effective >> (32 * half));
    data[half].permitted = (uint32_t)(child->permitted >> (32 * half));
    data[half].inheritable = (uint32_t)(child->inheritable >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data) < 0) return fail(&child->failure, "capset");
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
    return fail(&child->failure, "prctl PR_CAP_AMBIENT_CLEAR_ALL");
  for (unsigned long capability = 0; capability < 64; capability++)
    if (child->ambient >> capability & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0)
      return fail(&child->failure, "prctl PR_CAP_AMBIENT_RAISE");
  return 0;
}

/* In a user namespace of one id nobody may change his groups, as one of them may be what keeps him out (user_namespaces(7)). */
static bool groups_stay;

void learn_of_groups(void) {
  char text[8];
  groups_stay = read_file_at(AT_FDCWD, "/proc/self/setgroups", text, sizeof(text)) > 0 && strncmp(text, "deny", 4) == 0;
}

int take_identity(struct child *child) {
  if (child->identity_taken) return 0;
  child->identity_taken = true;
  /* The bounding set needs CAP_SETPCAP, which is about to go. */
  if (child->has_capabilities && drop_bounding(child) < 0) return -1;
  if (child->has_user) {
    const struct identity *identity = &child->identity;
    /* Leaving uid 0 clears the permitted set, unless told not to; capset(2) below then takes what is not wanted. */
    if (child->has_capabilities && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
      return fail(&child->failure, "prctl PR_SET_KEEPCAPS");
    if (!groups_stay && setgroups(identity->count, identity->groups) < 0) return fail(&child->failure, "setgroups");
    if (setresgid(identity->gid, identity->gid, identity->gid) < 0) return fail(&child->failure, "setresgid");
    if (setresuid(identity->uid, identity->uid, identity->uid) < 0) return fail(&child->failure, "setresuid");
    if (child->has_capabilities && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
      return fail(&child->failure, "prctl PR_SET_KEEPCAPS");
  }
  if (child->has_capabilities && set_capabilities(child) < 0) return -1;
  /*
   * The kernel forgets the parent-death signal and may set dumpable again at a change of credentials, so both come
   * after it. If the monitor died before the signal was set, it never comes: then the link has ended.
   */
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_DUMPABLE");
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail(&child->failure, "prctl PR_SET_PDEATHSIG");
  struct pollfd link = {.fd = link_fd};
  if (poll(&link, 1, 0) > 0 && link.revents & (POLLHUP | POLLERR)) _exit(1);
  return 0;
}
