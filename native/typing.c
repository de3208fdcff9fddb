/* What those who are attached have to say to the process. */
#include <errno.h>
#include <termios.h>

#include "console.h"

void console_close_input(struct console *console) {
  close_fd(&console->input);
  bytes_drop(&console->typed, console->typed.size);
  for (size_t i = 0; i < console->count; i++) close_fd(&console->attached[i].input);
}

void console_type(struct console *console, const char *bytes, size_t size) {
  if (console->input < 0 || size == 0) return;
  console->last = bytes[size - 1];
  ssize_t taken = 0;
  if (console->typed.size == 0) {
    do taken = write(console->input, bytes, size);
    while (taken < 0 && errno == EINTR);
    if (taken < 0 && errno != EAGAIN) {
      console_close_input(console);
      return;
    }
    if (taken < 0) taken = 0;
  }
  if ((size_t)taken < size && !bytes_add(&console->typed, bytes + taken, size - (size_t)taken))
    console_close_input(console);
}

void console_type_on(struct console *console) {
  ssize_t taken = write(console->input, console->typed.start, console->typed.size);
  if (taken >= 0) bytes_drop(&console->typed, (size_t)taken);
  else if (errno != EAGAIN && errno != EINTR) console_close_input(console);
  if (console->typed.size == 0 && console->ending) console_close_input(console);
}

void console_end_input(struct console *console) {
  if (console->input < 0) return;
  if (!console->terminal) {
    console->ending = console->once;
    if (console->ending && console->typed.size == 0) console_close_input(console);
    return;
  }
  if (!console->types_end) return;
  /* Within a line the first only hands over what is there (termios(3), VEOF). */
  struct termios settings;
  if (tcgetattr(console->input, &settings) < 0) return;
  char ends[2] = {(char)settings.c_cc[VEOF], (char)settings.c_cc[VEOF]};
  bool within = console->last != '\0' && console->last != '\n' && console->last != '\r';
  console_type(console, ends, within ? 2 : 1);
}
