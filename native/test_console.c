/* Streams of a process, and those who are attached to them. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "test.h"

static struct log sink;

static int make_pipe(int *end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) abort();
  *end = ends[1];
  return ends[0];
}

/* What a process writes to, and the console at the other end. */
static struct console make_console(int process[2]) {
  struct console console;
  console_clear(&console);
  for (int i = 0; i < 2; i++) console.outputs[i] = make_pipe(&process[i]);
  return console;
}

/* The reader's ends. */
static void attach(struct console *console, int readers[2]) {
  int fds[2];
  for (int i = 0; i < 2; i++) readers[i] = make_pipe(&fds[i]);
  check(console_attach(console, false, fds, 2) == 0 && fds[0] == -1, "attach");
}

/* As the monitor does it, until there is nothing to do any more. */
static void serve(struct console *console) {
  for (;;) {
    struct pollfd polled[32];
    size_t count = console_polled(console);
    if (count > 32) abort();
    console_watch(console, polled);
    if (poll(polled, count, 0) <= 0) return;
    console_serve(console, polled, &sink);
  }
}

static void say(int fd, const char *text) {
  if (write(fd, text, strlen(text)) < 0) abort();
}

/* All that there is; "-" at the end of the stream. */
static const char *hear(int fd) {
  static char text[256];
  size_t size = 0;
  ssize_t got;
  while ((got = read(fd, text + size, sizeof(text) - 2 - size)) > 0) size += (size_t)got;
  if (got == 0) text[size++] = '-';
  text[size] = '\0';
  return text;
}

static bool hears(int fd, const char *expected) {
  return strcmp(hear(fd), expected) == 0;
}

static void test_outputs(void) {
  int process[2], first[2], second[2];
  struct console console = make_console(process);
  say(process[0], "before");
  serve(&console);
  attach(&console, first);
  say(process[0], "one");
  say(process[1], "error");
  serve(&console);
  attach(&console, second);
  say(process[0], "two");
  serve(&console);
  check(hears(first[0], "onetwo") && hears(first[1], "error"), "all from then on");
  check(hears(second[0], "two") && hears(second[1], ""), "and nothing of before");
  close(second[0]);
  close(second[1]);
  serve(&console);
  check(console.count == 1, "one who is gone is forgotten");
  say(process[0], "three");
  close(process[0]);
  serve(&console);
  check(hears(first[0], "three-") && hears(first[1], ""), "the end of one stream");
  say(process[1], "last");
  console_end(&console, &sink);
  check(hears(first[1], "last-") && !console_open(&console), "what was left when the process ended");
  console_close(&console);
}

static void test_slow(void) {
  enum { SIZE = 300000 };
  int process[2], quick[2], slow[2];
  struct console console = make_console(process);
  attach(&console, quick);
  attach(&console, slow);
  static char chunk[4096], heard[SIZE];
  size_t said = 0, quickly = 0, slowly = 0;
  for (int idle = 0; idle < 2;) {
    for (size_t i = 0; i < sizeof(chunk); i++) chunk[i] = (char)((said + i) % 251);
    ssize_t size = write(process[0], chunk, said + sizeof(chunk) > SIZE ? SIZE - said : sizeof(chunk));
    if (size > 0) said += (size_t)size;
    serve(&console);
    ssize_t got = read(quick[0], heard, sizeof(heard));
    if (got > 0) quickly += (size_t)got;
    idle = size > 0 || got > 0 ? 0 : idle + 1;
  }
  check(said < SIZE && quickly < said, "one who does not read makes the process wait, after %zu bytes", said);
  for (int idle = 0; idle < 2;) {
    for (size_t i = 0; i < sizeof(chunk); i++) chunk[i] = (char)((said + i) % 251);
    ssize_t size = said == SIZE ? 0 : write(process[0], chunk, said + sizeof(chunk) > SIZE ? SIZE - said : sizeof(chunk));
    if (size > 0) said += (size_t)size;
    serve(&console);
    ssize_t got = read(quick[0], chunk, sizeof(chunk));
    if (got > 0) quickly += (size_t)got;
    ssize_t late = read(slow[0], heard + slowly, sizeof(heard) - slowly);
    if (late > 0) slowly += (size_t)late;
    idle = size > 0 || got > 0 || late > 0 ? 0 : idle + 1;
  }
  bool same = true;
  for (size_t i = 0; i < slowly; i++) same = same && heard[i] == (char)(i % 251);
  check(quickly == SIZE && slowly == SIZE && same, "and loses nothing: %zu, %zu", quickly, slowly);
  check(console.held[0].start == NULL, "nothing is held any more");
  console_close(&console);
}

static void test_gone(void) {
  int process[2], gone[2];
  struct console console = make_console(process);
  attach(&console, gone);
  static char chunk[200000];
  ssize_t said = write(process[0], chunk, sizeof(chunk));
  serve(&console);
  while (write(process[0], chunk, sizeof(chunk)) > 0) serve(&console);
  check(said > 0 && console.held[0].size > 0, "one who does not read");
  close(gone[0]);
  close(gone[1]);
  serve(&console);
  struct pollfd room = {.fd = process[0], .events = POLLOUT};
  check(poll(&room, 1, 0) == 1 && console.count == 0 && !console.held[0].start, "when it is gone, the process goes on");
  console_close(&console);
}

static void test_input(void) {
  int process[2], readers[4], writers[2], input;
  struct console console = make_console(process);
  int reads = make_pipe(&input);
  console.input = input;
  console.once = true;
  for (int i = 0; i < 2; i++) {
    int fds[3];
    fds[0] = make_pipe(&writers[i]);
    readers[2 * i] = make_pipe(&fds[1]);
    readers[2 * i + 1] = make_pipe(&fds[2]);
    check(console_attach(&console, true, fds, 3) == 0, "attach with input");
  }
  say(writers[0], "one");
  serve(&console);
  say(writers[1], "two");
  close(writers[1]);
  serve(&console);
  check(hears(reads, "onetwo"), "from both, and none has ended it while one goes on");
  static char chunk[300000];
  memset(chunk, 'x', sizeof(chunk));
  size_t said = 0, heard = 0;
  while (said < sizeof(chunk)) {
    ssize_t size = write(writers[0], chunk, sizeof(chunk) - said);
    if (size > 0) said += (size_t)size;
    serve(&console);
    if (size > 0) continue;
    ssize_t got = read(reads, chunk, 10000);
    if (got > 0) heard += (size_t)got;
  }
  say(writers[0], "end");
  close(writers[0]);
  ssize_t got = 0;
  do {
    serve(&console);
    got = read(reads, chunk, sizeof(chunk));
    if (got > 0) heard += (size_t)got;
  } while (got > 0);
  check(heard == sizeof(chunk) + 3 && got == 0, "all of a lot, and then the end: %zu", heard);
  int fds[3] = {make_pipe(&writers[0]), process[0], process[1]};
  check(console_attach(&console, true, fds, 3) == EPIPE && fds[0] >= 0, "no input for what has ended");
  for (int i = 0; i < 4; i++) close(readers[i]);
  serve(&console);
  check(console.count == 0, "all have left");
  console_close(&console);
}

void test_console(void) {
  signal(SIGPIPE, SIG_IGN);
  test_outputs();
  test_slow();
  test_gone();
  test_input();
}
