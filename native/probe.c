#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common.h"

enum { ANSWER_MAXIMUM = 64 * 1024 };

static int say(int status, const char *text, const char *more) {
  dprintf(1, "%s%s\n", text, more);
  return status;
}

static int connect_to(const struct sockaddr *address, socklen_t size) {
  autoclose int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, address, size) < 0) return -1;
  return steal_fd(&fd);
}

static int connect_loopback(uint16_t port) {
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
  int fd = connect_to((const struct sockaddr *)&four, sizeof(four));
  if (fd >= 0) return fd;
  int first = errno;
  fd = connect_to((const struct sockaddr *)&six, sizeof(six));
  /* Where there is no IPv6 at all, that is not the reason. */
  if (fd < 0) errno = first;
  return fd;
}

/* The first line of the answer. The rest is read too, within bounds, as servers complain of who hangs up on them. */
static int read_status_line(int fd, char line[512]) {
  static char chunk[4096];
  size_t kept = 0, all = 0;
  for (ssize_t got; all < ANSWER_MAXIMUM && (got = read(fd, chunk, sizeof(chunk))) > 0; all += (size_t)got)
    for (ssize_t i = 0; i < got && kept < 511; i++) line[kept++] = chunk[i];
  line[kept] = '\0';
  line[strcspn(line, "\r\n")] = '\0';
  return kept > 0 ? 0 : -1;
}

int probe(uint16_t port, const char *path) {
  char number[8], line[512];
  snprintf(number, sizeof(number), "%u", port);
  autoclose int fd = connect_loopback(port);
  if (fd < 0) {
    dprintf(1, "connect to port %s: %s\n", number, strerror(errno));
    return 1;
  }
  if (!path) return say(0, "connected to port ", number);
  if (dprintf(fd, "GET %s HTTP/1.0\r\nHost: localhost:%s\r\nConnection: close\r\n\r\n", path, number) < 0)
    return say(1, "send a request: ", strerror(errno));
  if (read_status_line(fd, line) < 0) return say(1, "no answer from port ", number);
  const char *code = strncmp(line, "HTTP/", 5) == 0 ? strchr(line, ' ') : NULL;
  long status = code ? strtol(code, NULL, 10) : 0;
  return say(status >= 200 && status < 400 ? 0 : 1, line, "");
}
