#include "dns_names.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names are found with and without it, and what has it is never asked of anybody else. lib/network/names.ts has it too. */
static const char domain[] = "dns.podling";

bool dns_address_from_text(const char *text, struct dns_address *address) {
  *address = (struct dns_address){0};
  char bare[INET6_ADDRSTRLEN];
  size_t length = strcspn(text, "%");
  if (length >= sizeof(bare)) return false;
  memcpy(bare, text, length);
  bare[length] = '\0';
  if (text[length] == '%') {
    const char *scope = text + length + 1;
    address->scope = if_nametoindex(scope);
    if (address->scope == 0) address->scope = (uint32_t)strtoul(scope, NULL, 10);
  }
  if (inet_pton(AF_INET, bare, address->bytes) == 1) address->size = 4;
  else if (inet_pton(AF_INET6, bare, address->bytes) == 1) address->size = 16;
  return address->size > 0;
}

void dns_entry_free(struct dns_entry *entry) {
  close_fd(&entry->pidfd);
  free(entry->names);
  free(entry->key);
  free(entry);
}

static void read_line(struct dns_entry *entry, const char *line, size_t size) {
  char word[16], value[512];
  unsigned long long started_at = 0;
  char text[544];
  if (size >= sizeof(text)) return;
  memcpy(text, line, size);
  text[size] = '\0';
  int fields = sscanf(text, "%15s %511s %llu", word, value, &started_at);
  if (fields < 2) return;
  if (strcmp(word, "pid") == 0) {
    entry->pid = atoi(value);
    entry->started_at = fields == 3 ? started_at : 0;
  } else if (strcmp(word, "name") == 0 && entry->name_count < DNS_ENTRY_NAMES) {
    /* A container's name may be one that DNS can't say. */
    if (dns_name_from_text(value, strlen(value), &entry->names[entry->name_count])) entry->name_count++;
  } else if (strcmp(word, "address") == 0 && entry->address_count < DNS_ENTRY_ADDRESSES) {
    if (dns_address_from_text(value, &entry->addresses[entry->address_count])) entry->address_count++;
  } else if (strcmp(word, "server") == 0 && entry->resolver_count < DNS_RESOLVERS) {
    if (dns_address_from_text(value, &entry->resolvers[entry->resolver_count])) entry->resolver_count++;
  }
}

struct dns_entry *dns_entry_from_text(const char *key, const char *text) {
  struct dns_entry *entry = calloc(1, sizeof(*entry));
  if (!entry) return NULL;
  entry->pidfd = -1;
  entry->key = strdup(key);
  entry->names = calloc(DNS_ENTRY_NAMES, sizeof(*entry->names));
  if (entry->key && entry->names) {
    for (const char *at = text; *at != '\0';) {
      size_t size = strcspn(at, "\n");
      read_line(entry, at, size);
      at += size + (at[size] == '\n');
    }
  }
  if (entry->pid <= 0) {
    dns_entry_free(entry);
    return NULL;
  }
  /* Most have one or two. */
  struct dns_name *fitting = realloc(entry->names, (entry->name_count + 1) * sizeof(*entry->names));
  if (fitting) entry->names = fitting;
  return entry;
}

const struct dns_entry *dns_entry_at(const struct dns_entry *entries, const uint8_t *address, size_t size) {
  for (const struct dns_entry *entry = entries; entry; entry = entry->next) {
    for (size_t i = 0; i < entry->address_count; i++) {
      const struct dns_address *own = &entry->addresses[i];
      if (own->size == size && memcmp(own->bytes, address, size) == 0) return entry;
    }
  }
  return NULL;
}

static bool has_name(const struct dns_entry *entry, const struct dns_name *name) {
  for (size_t i = 0; i < entry->name_count; i++) {
    if (dns_name_equal(&entry->names[i], name)) return true;
  }
  return false;
}

static bool wants(const struct dns_query *query, enum dns_type type) {
  return query->type == type || query->type == DNS_ANY;
}

/* Add what entries of this name have, beginning with another one each time. False: there is none. */
static bool add_addresses(const struct dns_entry *entries, const struct dns_name *name, const struct dns_query *query,
                          unsigned turn, struct dns_answer *answer) {
  size_t matches = 0;
  for (const struct dns_entry *entry = entries; entry; entry = entry->next) matches += has_name(entry, name);
  if (matches == 0) return false;
  size_t first = turn % matches;
  for (size_t pass = 0; pass < 2; pass++) {
    size_t index = 0;
    for (const struct dns_entry *entry = entries; entry; entry = entry->next) {
      if (!has_name(entry, name)) continue;
      if ((index++ >= first) != (pass == 0)) continue;
      for (size_t i = 0; i < entry->address_count; i++) {
        const struct dns_address *address = &entry->addresses[i];
        enum dns_type type = address->size == 4 ? DNS_A : DNS_AAAA;
        if (wants(query, type)) dns_add(answer, type, address->bytes, address->size);
      }
    }
  }
  return true;
}

bool dns_answer_from(const struct dns_entry *entries, const uint8_t *message, const struct dns_query *query, unsigned turn,
                     uint8_t *bytes, size_t room, size_t *size) {
  if (query->class != DNS_IN) return false;
  struct dns_answer answer;
  dns_begin(&answer, bytes, room, message, query);
  enum dns_code code = DNS_NOERROR;
  uint8_t address[16];
  size_t address_size = dns_reverse_address(&query->name, address);
  if (query->edns && query->edns_version > 0) {
    code = DNS_BADVERS;
  } else if (address_size > 0) {
    const struct dns_entry *entry = dns_entry_at(entries, address, address_size);
    if (!entry || entry->name_count == 0) return false;
    if (wants(query, DNS_PTR)) dns_add(&answer, DNS_PTR, entry->names[0].bytes, entry->names[0].size);
  } else {
    struct dns_name zone, bare;
    dns_name_from_text(domain, sizeof(domain) - 1, &zone);
    bool ours = dns_name_below(&query->name, &zone, &bare);
    if (!add_addresses(entries, ours ? &bare : &query->name, query, turn, &answer)) {
      if (!ours) return false;
      /* The domain itself is there, and empty. */
      code = bare.size == 1 ? DNS_NOERROR : DNS_NXDOMAIN;
    }
  }
  *size = dns_end(&answer, query, code);
  return true;
}
