/* What a responder for names knows: the entries of its containers, kept as their files and processes are. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "dns_server.h"

static void forget(struct dns_server *server, const char *key) {
  for (struct dns_entry **at = &server->entries; *at; at = &(*at)->next) {
    if (strcmp((*at)->key, key) != 0) continue;
    struct dns_entry *gone = *at;
    *at = gone->next;
    dns_entry_free(gone);
    return;
  }
}

/* When a process began, in the units of proc_pid_stat(5), by which it is told from a later one of its number. */
static uint64_t started_at(const struct dns_server *server, int pid) {
  char path[32], text[1024];
  snprintf(path, sizeof(path), "%d/stat", pid);
  if (read_file_at(server->proc, path, text, sizeof(text)) < 0) return 0;
  /* The name in parentheses may hold anything; what is behind the last one is numbers. */
  const char *at = strrchr(text, ')');
  unsigned long long value = 0;
  if (!at || sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &value) != 1)
    return 0;
  return value;
}

static void learn(struct dns_server *server, const char *key) {
  static char text[DNS_ENTRY_FILE];
  forget(server, key);
  if (read_file_at(server->names, key, text, sizeof(text)) < 0) return;
  struct dns_entry *entry = dns_entry_from_text(key, text);
  if (!entry) return;
  entry->pidfd = sys_pidfd_open(entry->pid);
  uint64_t began = entry->pidfd < 0 ? 0 : started_at(server, entry->pid);
  /* /proc may hide other users' processes (hidepid); then the number has to do. */
  bool other = began != 0 && entry->started_at != 0 && began != entry->started_at;
  if (entry->pidfd < 0 || other || !dns_listen_to(server, entry->pidfd, DNS_FROM_PROCESS, (size_t)entry->pidfd, EPOLLIN)) {
    dns_entry_free(entry);
    return;
  }
  entry->next = server->entries;
  server->entries = entry;
}

void dns_forget_process(struct dns_server *server, int pidfd) {
  for (const struct dns_entry *entry = server->entries; entry; entry = entry->next) {
    if (entry->pidfd != pidfd) continue;
    /* The event may be an older one, of another descriptor that had this number. */
    struct pollfd process = {.fd = pidfd, .events = POLLIN};
    if (poll(&process, 1, 0) == 1) forget(server, entry->key);
    return;
  }
}

void dns_learn_all(struct dns_server *server) {
  autoclose int copy = openat(server->names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = copy < 0 ? NULL : fdopendir(copy);
  if (!directory) return;
  copy = -1;
  for (const struct dirent *file; (file = readdir(directory));) {
    if (file->d_name[0] != '.') learn(server, file->d_name);
  }
  closedir(directory);
}

void dns_take_changes(struct dns_server *server) {
  _Alignas(struct inotify_event) char events[4096];
  for (;;) {
    ssize_t got = read(server->watch, events, sizeof(events));
    if (got <= 0) return;
    for (const char *at = events; at < events + got;) {
      const struct inotify_event *event = (const void *)at;
      at += sizeof(*event) + event->len;
      if (event->mask & IN_Q_OVERFLOW) {
        while (server->entries) forget(server, server->entries->key);
        dns_learn_all(server);
      } else if (event->len > 0 && event->name[0] != '.') {
        if (event->mask & IN_MOVED_TO) learn(server, event->name);
        else forget(server, event->name);
      }
    }
  }
}

int dns_open_names(struct dns_server *server, const char *directory) {
  server->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  server->names = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  server->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (server->proc < 0 || server->names < 0 || server->watch < 0) return -1;
  if (inotify_add_watch(server->watch, directory, IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR) < 0) return -1;
  return dns_listen_to(server, server->watch, DNS_FROM_WATCH, 0, EPOLLIN) ? 0 : -1;
}

size_t dns_answer_here(struct dns_server *server, const uint8_t *message, const struct dns_query *query, uint8_t *bytes,
                       size_t room) {
  dns_take_changes(server);
  size_t size;
  if (dns_answer_from(server->entries, message, query, server->turn++, bytes, room, &size)) return size;
  if (server->resolv_conf) return 0;
  return dns_refuse(bytes, message, query->question_end, DNS_NXDOMAIN);
}
