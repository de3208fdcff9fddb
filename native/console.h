/*
 * The streams of a process at whose other end its monitor stands: pipes, or a terminal's master. What the process writes
 * goes to the log and to all who are attached (attach.c); what those write goes to the process.
 *
 *   process ──▶ outputs ──▶ log
 *                      └──▶ each attached ──▶ (what it can't take yet is held; nothing more is read meanwhile)
 *   process ◀── input ◀── typed ◀── each attached
 *
 * So a slow reader makes the process wait and loses nothing; one that is gone is dropped.
 */
#pragma once

#include "bytes.h"
#include "log.h"

/* One who is attached: its ends of pipes; -1: not asked for, ended, or gone. */
struct attached {
  int input;
  int outputs[2];
  size_t behind[2]; /* the last so many bytes of what is held are yet to come to it */
  bool over[2]; /* that output ends for it then: a restarted process is not the one that it is attached to */
};

struct console {
  bool terminal; /* then outputs[0] and input are its master */
  bool awaited; /* the terminal, which the process is to make */
  bool once; /* the input ends with that of the last who is attached */
  bool types_end; /* so it does on a terminal, where the end is typed */
  int outputs[2]; /* stdout, stderr; -1: there is none, or it has ended */
  int input;
  int slave; /* of a terminal */
  struct attached *attached;
  size_t count, room;
  struct bytes held[2];
  struct bytes typed;
  bool ending; /* the input ends once the process has what is typed */
  char last; /* that was typed */
};

void console_clear(struct console *console);

/* Take over the terminal that the process has made. */
int console_take_terminal(struct console *console, int master);

/* The terminal's size in characters; 0, or an errno. */
int console_resize(struct console *console, uint32_t columns, uint32_t rows);

/* The process is dead: read what it has left, and let those who are attached have it. */
void console_end(struct console *console, struct log *log);

/* Is anybody yet to get something? */
bool console_open(const struct console *console);

/* Close all of it, whoever waits. */
void console_close(struct console *console);

/* How many descriptors to poll; write them down; do what can be done. Nothing may be attached in between. */
size_t console_polled(const struct console *console);
struct pollfd;
void console_watch(const struct console *console, struct pollfd *polled);
void console_serve(struct console *console, const struct pollfd *polled, struct log *log);

/*
 * attach.c
 *
 * Attach: from here on its pipes get all that the process writes. `fds`: one to read the process's input from, when
 * `has_input`, then one for each of its outputs, a terminal's being one. Takes them (they become -1), or returns an errno.
 */
int console_attach(struct console *console, bool has_input, int *fds, size_t count);

/* To all who are attached. */
void attached_give(struct console *console, int stream, const char *bytes, size_t size);
/* This output has ended. */
void attached_end(struct console *console, int stream);
/* To the one who can take more. */
void attached_catch_up(struct console *console, int stream, struct attached *attached);
/* What it has for the process. */
void attached_ask(struct console *console, struct attached *attached);
/* Forget those who have nothing to get and nothing to say any more. */
void attached_sweep(struct console *console);

/*
 * typing.c
 *
 * For the process: what it does not take now, it gets later.
 */
void console_type(struct console *console, const char *bytes, size_t size);
/* It can take more of that. */
void console_type_on(struct console *console);
/* The last input has ended. */
void console_end_input(struct console *console);
/* The process takes no more input. */
void console_close_input(struct console *console);
