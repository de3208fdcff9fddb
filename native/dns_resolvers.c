/* Whom to ask what no container is called. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dns_server.h"

enum { PORT = 53, FILE_MAXIMUM = 16384 };

/* What /etc/resolv.conf says, read again when it is another file or a changed one. */
static struct {
  struct timespec changed;
  ino_t inode;
  bool known;
  size_t count;
  struct dns_address list[DNS_RESOLVERS];
} host;

static bool is_own(const struct dns_server *server, const struct dns_address *address) {
  for (size_t i = 0; i < server->listener_count; i++) {
    size_t size;
    const uint8_t *own = dns_peer_bytes(&server->listeners[i].address, &size);
    if (size == address->size && memcmp(own, address->bytes, size) == 0) return true;
  }
  return false;
}

static void parse(const struct dns_server *server, const char *text) {
  for (const char *at = text; *at != '\0' && host.count < DNS_RESOLVERS;) {
    char line[256], word[16], value[128];
    size_t size = strcspn(at, "\n");
    if (size < sizeof(line)) {
      memcpy(line, at, size);
      line[size] = '\0';
      struct dns_address address;
      if (sscanf(line, "%15s %127s", word, value) == 2 && strcmp(word, "nameserver") == 0 &&
          dns_address_from_text(value, &address) && !is_own(server, &address)) {
        host.list[host.count++] = address;
      }
    }
    at += size + (at[size] == '\n');
  }
}

static void read_host(const struct dns_server *server) {
  static char text[FILE_MAXIMUM];
  struct stat status = {0};
  bool there = fstatat(server->resolv_directory, server->resolv_conf, &status, 0) == 0;
  if (host.known && status.st_ino == host.inode && memcmp(&status.st_mtim, &host.changed, sizeof(host.changed)) == 0) return;
  host.known = true;
  host.inode = status.st_ino;
  host.changed = status.st_mtim;
  host.count = 0;
  if (there && read_file_at(server->resolv_directory, server->resolv_conf, text, sizeof(text)) >= 0) parse(server, text);
  /* resolv.conf(5): without any, the one of this machine. */
  if (host.count == 0) dns_address_from_text("127.0.0.1", &host.list[host.count++]);
}

size_t dns_resolvers_for(struct dns_server *server, const union dns_peer *peer, union dns_peer resolvers[DNS_RESOLVERS]) {
  if (!server->resolv_conf) return 0;
  size_t size;
  const uint8_t *bytes = dns_peer_bytes(peer, &size);
  const struct dns_entry *entry = dns_entry_at(server->entries, bytes, size);
  const struct dns_address *list = host.list;
  size_t count;
  if (entry && entry->resolver_count > 0) {
    list = entry->resolvers;
    count = entry->resolver_count;
  } else {
    read_host(server);
    count = host.count;
  }
  for (size_t i = 0; i < count; i++) {
    resolvers[i] = (union dns_peer){0};
    if (list[i].size == 4) {
      resolvers[i].four.sin_family = AF_INET;
      resolvers[i].four.sin_port = htons(PORT);
      memcpy(&resolvers[i].four.sin_addr, list[i].bytes, 4);
    } else {
      resolvers[i].six.sin6_family = AF_INET6;
      resolvers[i].six.sin6_port = htons(PORT);
      resolvers[i].six.sin6_scope_id = list[i].scope;
      memcpy(&resolvers[i].six.sin6_addr, list[i].bytes, 16);
    }
  }
  return count;
}
