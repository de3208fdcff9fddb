/*
 * A terminal of a process that stands between it and whoever called us: what they type goes to it as they type it, and their
 * own terminal is as it was when it has ended. Our streams are others' too, so no flag of theirs is changed.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "detach.h"

enum { CHUNK = 4096 };

struct relay {
  int master;
  bool asks; /* what is typed may still come */
  char typed[CHUNK]; /* that the terminal has not taken yet */
  size_t size;
};

static void copy_size(int master) {
  struct winsize size;
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

/*
 * Lines end as the program ends them: for programs that read them as for those who read a file of them, as with runc. Who
 * looks at them has a terminal that begins each on the left.
 */
static void keep_lines(int master) {
  struct termios settings;
  if (tcgetattr(master, &settings) < 0) return;
  settings.c_oflag &= ~(tcflag_t)ONLCR;
  tcsetattr(master, TCSANOW, &settings);
}

/* False: there is nothing now. */
static bool give(const struct relay *relay) {
  char chunk[CHUNK];
  ssize_t size = read(relay->master, chunk, sizeof(chunk));
  for (ssize_t at = 0, put; at < size; at += put) {
    put = write(STDOUT_FILENO, chunk + at, (size_t)(size - at));
    if (put < 0 && errno == EINTR) put = 0;
    if (put < 0) return false; /* nobody reads it */
  }
  return size > 0;
}

static void ask(struct relay *relay) {
  ssize_t size = read(STDIN_FILENO, relay->typed, sizeof(relay->typed));
  if (size < 0 && errno == EINTR) return;
  relay->asks = size > 0;
  relay->size = size > 0 ? (size_t)size : 0;
}

static void type(struct relay *relay) {
  ssize_t taken = write(relay->master, relay->typed, relay->size);
  if (taken < 0 && errno == EAGAIN) return;
  if (taken < 0) taken = (ssize_t)relay->size;
  relay->size -= (size_t)taken;
  memmove(relay->typed, relay->typed + taken, relay->size);
}

void relay(int master, int pidfd, int command) {
  struct relay relay = {.master = master, .asks = true};
  struct termios before, raw;
  bool is_terminal = tcgetattr(STDIN_FILENO, &before) == 0;
  keep_lines(master);
  if (is_terminal) {
    raw = before;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    copy_size(master);
  }
  sigset_t resized;
  sigemptyset(&resized);
  sigaddset(&resized, SIGWINCH);
  autoclose int sizes = signalfd(-1, &resized, SFD_CLOEXEC);
  for (bool goes_on = true; goes_on;) {
    struct pollfd polled[] = {
        {.fd = pidfd, .events = POLLIN},
        {.fd = command, .events = 0},
        {.fd = master, .events = (short)(POLLIN | (relay.size > 0 ? POLLOUT : 0))},
        {.fd = relay.asks && relay.size == 0 ? STDIN_FILENO : -1, .events = POLLIN},
        {.fd = sizes, .events = POLLIN},
    };
    if (poll(polled, array_length(polled), -1) < 0) continue;
    if (polled[2].revents & POLLIN) give(&relay);
    if (polled[2].revents & POLLOUT) type(&relay);
    if (polled[3].revents) ask(&relay);
    struct signalfd_siginfo info;
    if (polled[4].revents && read(sizes, &info, sizeof(info)) > 0) copy_size(master);
    goes_on = polled[0].revents == 0 && polled[1].revents == 0;
  }
  /* What it has left; no more than that, as others may have the terminal still. */
  int there = 0;
  ioctl(master, FIONREAD, &there);
  for (int chunks = there / CHUNK + 64; chunks > 0 && give(&relay); chunks--) continue;
  if (is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &before);
}
