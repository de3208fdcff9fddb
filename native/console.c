#include "console.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum {
  TERMINAL_CHUNKS = 16, /* a terminal gives 4 KiB a read */
  DRAIN_CHUNKS = 256,
  TYPED_MAXIMUM = 1024 * 1024,
  POLLED = 3, /* of a console, and of each attached */
};

void console_clear(struct console *console) {
  *console = (struct console){.outputs = {-1, -1}, .input = -1, .slave = -1};
}

/*
 * A slave of our own: else the kernel tells of an end whenever no process has the terminal open, though one may open it
 * again. That no process is left, the death of the session's leader tells.
 */
static int hold_slave(struct console *console) {
  close_fd(&console->slave);
  console->slave = ioctl(console->outputs[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  return console->slave < 0 ? -1 : 0;
}

int console_take_terminal(struct console *console, int master) {
  console->awaited = false;
  console->terminal = true;
  console->outputs[0] = master;
  if (fcntl(master, F_SETFL, O_NONBLOCK) < 0 || hold_slave(console) < 0) return -1;
  console->input = fcntl(master, F_DUPFD_CLOEXEC, 0);
  return console->input < 0 ? -1 : 0;
}

int console_resize(struct console *console, uint32_t columns, uint32_t rows) {
  if (!console->terminal) return ENOTTY;
  if (columns > UINT16_MAX || rows > UINT16_MAX) return EINVAL;
  if (console->outputs[0] < 0) return ESRCH;
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  return ioctl(console->outputs[0], TIOCSWINSZ, &size) < 0 ? errno : 0;
}

static void end_output(struct console *console, int stream) {
  close_fd(&console->outputs[stream]);
  attached_end(console, stream);
}

/* One chunk of an output. False: there is nothing now, or it has ended. */
static bool pump(struct console *console, int stream, struct log *log) {
  static char chunk[LOG_CHUNK + 1]; /* as log_write() wants it */
  ssize_t size;
  do size = read(console->outputs[stream], chunk, LOG_CHUNK);
  while (size < 0 && errno == EINTR);
  if (size > 0) {
    if (log) log_write(log, (enum log_stream)stream, chunk, (size_t)size);
    attached_give(console, stream, chunk, (size_t)size);
    return true;
  }
  if (size < 0 && errno == EAGAIN) return false;
  if (size == 0) errno = 0;
  /* vhangup(2), as login programs call it, takes our slave away too. */
  if (console->terminal && errno == EIO && hold_slave(console) == 0) return false;
  end_output(console, stream);
  return false;
}

void console_end(struct console *console, struct log *log) {
  for (int stream = 0; stream < 2; stream++) {
    if (console->outputs[stream] < 0) continue;
    /* No more than there is: a descriptor that was passed on may write for ever. */
    int there = 0;
    ioctl(console->outputs[stream], FIONREAD, &there);
    for (int chunks = there / LOG_CHUNK + DRAIN_CHUNKS; chunks > 0 && console->outputs[stream] >= 0; chunks--)
      if (!pump(console, stream, log)) break;
    end_output(console, stream);
  }
  console->awaited = false;
  console_close_input(console);
  close_fd(&console->slave);
  attached_sweep(console);
}

bool console_open(const struct console *console) {
  return console->count > 0;
}

void console_close(struct console *console) {
  for (size_t i = 0; i < console->count; i++) {
    close_fd(&console->attached[i].input);
    for (int stream = 0; stream < 2; stream++) close_fd(&console->attached[i].outputs[stream]);
  }
  for (int stream = 0; stream < 2; stream++) {
    close_fd(&console->outputs[stream]);
    bytes_drop(&console->held[stream], console->held[stream].size);
  }
  close_fd(&console->input);
  close_fd(&console->slave);
  bytes_drop(&console->typed, console->typed.size);
  free(console->attached);
  console_clear(console);
}

size_t console_polled(const struct console *console) {
  return POLLED * (1 + console->count);
}

void console_watch(const struct console *console, struct pollfd *polled) {
  for (int stream = 0; stream < 2; stream++) {
    bool reads = console->held[stream].size == 0;
    polled[stream] = (struct pollfd){.fd = reads ? console->outputs[stream] : -1, .events = POLLIN};
  }
  bool blocked = console->typed.size > 0;
  /* Of a pipe the end of its reader is told in any case; a terminal has none. */
  bool looks = blocked || !console->terminal;
  polled[2] = (struct pollfd){.fd = looks ? console->input : -1, .events = blocked ? POLLOUT : 0};
  /* What one had to say who ended or left is taken at once, so that its pipe does not wait here. */
  bool asks = console->input >= 0 && console->typed.size < TYPED_MAXIMUM;
  for (size_t i = 0; i < console->count; i++) {
    const struct attached *attached = &console->attached[i];
    polled += POLLED;
    for (int stream = 0; stream < 2; stream++)
      polled[stream] = (struct pollfd){.fd = attached->outputs[stream], .events = attached->behind[stream] ? POLLOUT : 0};
    polled[2] = (struct pollfd){.fd = asks ? attached->input : -1, .events = blocked ? 0 : POLLIN};
  }
}

void console_serve(struct console *console, const struct pollfd *polled, struct log *log) {
  /* What is held goes out first, so that what is read now need not wait. */
  for (size_t i = 0; i < console->count; i++) {
    struct attached *attached = &console->attached[i];
    const struct pollfd *own = polled + POLLED * (1 + i);
    for (int stream = 0; stream < 2; stream++) {
      if (!(own[stream].revents)) continue;
      if (own[stream].revents & (POLLERR | POLLNVAL)) {
        close_fd(&attached->outputs[stream]);
        attached->behind[stream] = 0;
      }
      attached_catch_up(console, stream, attached);
    }
  }
  for (int stream = 0; stream < 2; stream++) {
    if (!polled[stream].revents) continue;
    int chunks = console->terminal ? TERMINAL_CHUNKS : 1;
    while (chunks-- > 0 && console->outputs[stream] >= 0 && console->held[stream].size == 0)
      if (!pump(console, stream, log)) break;
  }
  if (polled[2].revents & POLLERR) console_close_input(console);
  else if (polled[2].revents && console->typed.size > 0) console_type_on(console);
  for (size_t i = 0; i < console->count; i++)
    if (polled[POLLED * (1 + i) + 2].revents) attached_ask(console, &console->attached[i]);
  attached_sweep(console);
}
