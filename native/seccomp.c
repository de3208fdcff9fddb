/*
 * The filter of the program, seccomp(2). Where it leaves calls to somebody else to decide (seccomp_unotify(2)), the listener
 * that it comes with goes to our maker, who passes it on (listener.c), and none of it stays here: with it a program decides
 * for itself.
 *
 * From the moment that the filter is there each call of ours can be one that is refused, or that waits for somebody who has
 * no listener yet. So a thread hands it over, which was there before and has no filter; filters are the thread's own.
 */
#include "child.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>

enum { WAITING = -1, NONE = -2 };

struct handover {
  int listener; /* what seccomp(2) gives */
  pid_t thread; /* 0: it is gone (CLONE_CHILD_CLEARTID) */
  int error;
};

static int give(int listener, bool unborn) {
  uint32_t record[2] = {RECORD_LISTENER, unborn};
  return tell_with(record, sizeof(record), listener);
}

static int hand_over(void *argument) {
  struct handover *handover = argument;
  int listener;
  while ((listener = __atomic_load_n(&handover->listener, __ATOMIC_ACQUIRE)) == WAITING) sched_yield();
  if (listener < 0) return 0;
  if (give(listener, false) < 0) handover->error = errno;
  close(listener);
  return 0;
}

static int load(const struct sock_fprog *program, uint32_t flags) {
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

/* A stage can have no threads, as its children are to be in another pid namespace than it is (clone(2), EINVAL). */
static int load_unborn(struct child *child, const struct sock_fprog *program, uint32_t flags) {
  autoclose int listener = load(program, flags);
  if (listener < 0) return fail(&child->failure, "seccomp");
  return give(listener, true) < 0 ? fail(&child->failure, "sendmsg") : 0;
}

static int load_listening(struct child *child, const struct sock_fprog *program, uint32_t flags) {
  static _Alignas(16) char stack[64 * 1024];
  struct handover handover = {.listener = WAITING, .thread = 1};
  int shared = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
  if (clone(hand_over, stack + sizeof(stack), shared | CLONE_CHILD_CLEARTID, &handover, NULL, NULL, &handover.thread) < 0)
    return fail(&child->failure, "clone");
  int listener = load(program, flags), error = errno;
  __atomic_store_n(&handover.listener, listener < 0 ? NONE : listener, __ATOMIC_RELEASE);
  /* To sleep would be a call. */
  while (__atomic_load_n(&handover.thread, __ATOMIC_ACQUIRE) != 0) continue;
  errno = listener < 0 ? error : handover.error;
  return errno == 0 ? 0 : fail(&child->failure, listener < 0 ? "seccomp" : "sendmsg");
}

int op_seccomp(struct child *child, struct reader *fields) {
  struct blob filter = read_blob(fields);
  uint32_t flags = read_u32(fields);
  size_t count = filter.size / sizeof(struct sock_filter);
  bool listening = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;
  errno = EINVAL;
  if (count == 0 || count > BPF_MAXINSNS || filter.size % sizeof(struct sock_filter) != 0)
    return fail(&child->failure, "seccomp");
  /* One for a hook has nobody to hand it to. */
  if (listening && child->hook) return fail(&child->failure, "seccomp");
  /* The kernel takes unaligned instructions, C does not: it copies them itself. */
  struct sock_fprog program = {.len = (unsigned short)count, .filter = (void *)(uintptr_t)filter.data};
  if (listening) return child->unborn ? load_unborn(child, &program, flags) : load_listening(child, &program, flags);
  return load(&program, flags) < 0 ? fail(&child->failure, "seccomp") : 0;
}
