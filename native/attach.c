/* Those who are attached to a console: each gets all that its process writes from then on, and none of what was before. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "console.h"

enum { CHUNK = 64 * 1024 };

int console_attach(struct console *console, bool has_input, int *fds, size_t count) {
  size_t outputs = console->terminal || console->awaited ? 1 : 2;
  if (count != outputs + has_input) return EINVAL;
  if (has_input && console->input < 0 && !console->awaited) return EPIPE;
  if (console->count == console->room) {
    size_t room = console->room ? console->room * 2 : 2;
    struct attached *attached = realloc(console->attached, room * sizeof(*attached));
    if (!attached) return ENOMEM;
    console->attached = attached;
    console->room = room;
  }
  /* What the others are behind with is nothing of its. */
  struct attached *attached = &console->attached[console->count++];
  *attached = (struct attached){.input = -1, .outputs = {-1, -1}};
  for (size_t i = 0; i < count; i++) fcntl(fds[i], F_SETFL, O_NONBLOCK);
  if (has_input) attached->input = steal_fd(fds++);
  for (size_t i = 0; i < outputs; i++) {
    attached->outputs[i] = steal_fd(fds++);
    if (console->outputs[i] < 0 && !console->awaited) close_fd(&attached->outputs[i]);
  }
  return 0;
}

/* What its pipe takes. It is closed when its reader is gone. */
static size_t give(int *output, const char *bytes, size_t size) {
  ssize_t taken;
  do taken = write(*output, bytes, size);
  while (taken < 0 && errno == EINTR);
  if (taken >= 0) return (size_t)taken;
  if (errno != EAGAIN) close_fd(output);
  return 0;
}

/* Nobody is behind any more, or all who were are gone. */
static void forget_held(struct console *console, int stream) {
  for (size_t i = 0; i < console->count; i++)
    if (console->attached[i].behind[stream] > 0) return;
  bytes_drop(&console->held[stream], console->held[stream].size);
}

void attached_give(struct console *console, int stream, const char *bytes, size_t size) {
  bool holds = console->held[stream].size > 0;
  for (size_t i = 0; i < console->count; i++) {
    struct attached *attached = &console->attached[i];
    if (attached->outputs[stream] < 0) continue;
    /* One who is behind gets this after what is held. */
    size_t taken = attached->behind[stream] > 0 ? 0 : give(&attached->outputs[stream], bytes, size);
    if (attached->outputs[stream] < 0) continue;
    attached->behind[stream] += size - taken;
    if (attached->behind[stream] > 0) holds = true;
  }
  if (!holds || bytes_add(&console->held[stream], bytes, size)) return;
  /* Without memory for it, whoever is behind would get a stream with a hole: better none. */
  for (size_t i = 0; i < console->count; i++) {
    struct attached *attached = &console->attached[i];
    if (attached->behind[stream] == 0) continue;
    close_fd(&attached->outputs[stream]);
    attached->behind[stream] = 0;
  }
  forget_held(console, stream);
}

void attached_catch_up(struct console *console, int stream, struct attached *attached) {
  const struct bytes *held = &console->held[stream];
  size_t behind = attached->behind[stream];
  if (attached->outputs[stream] >= 0 && behind > 0) {
    size_t taken = give(&attached->outputs[stream], held->start + held->size - behind, behind);
    attached->behind[stream] = attached->outputs[stream] < 0 ? 0 : behind - taken;
  }
  if (attached->behind[stream] > 0) return;
  if (attached->over[stream]) close_fd(&attached->outputs[stream]);
  forget_held(console, stream);
}

void attached_end(struct console *console, int stream) {
  for (size_t i = 0; i < console->count; i++) {
    console->attached[i].over[stream] = true;
    if (console->attached[i].behind[stream] == 0) close_fd(&console->attached[i].outputs[stream]);
  }
}

/* Whoever has closed its outputs before its input has left, and so has ended nothing for others. */
static bool has_left(struct attached *attached) {
  for (int stream = 0; stream < 2; stream++) {
    struct pollfd output = {.fd = attached->outputs[stream]};
    if (output.fd >= 0 && poll(&output, 1, 0) == 0) return false;
  }
  return true;
}

void attached_ask(struct console *console, struct attached *attached) {
  static char chunk[CHUNK];
  ssize_t size = attached->input < 0 ? -1 : read(attached->input, chunk, sizeof(chunk));
  if (size > 0) console_type(console, chunk, (size_t)size);
  if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR))) return;
  close_fd(&attached->input);
  if (has_left(attached)) return;
  for (size_t i = 0; i < console->count; i++)
    if (console->attached[i].input >= 0) return;
  console_end_input(console);
}

void attached_sweep(struct console *console) {
  size_t kept = 0;
  for (size_t i = 0; i < console->count; i++) {
    const struct attached *attached = &console->attached[i];
    bool lives = attached->input >= 0 || attached->outputs[0] >= 0 || attached->outputs[1] >= 0;
    if (lives) console->attached[kept++] = *attached;
  }
  console->count = kept;
}
