/* Who is on a network: one entry for each container, as its file says. */
#pragma once

#include "dns_message.h"

enum { DNS_ENTRY_NAMES = 64, DNS_ENTRY_ADDRESSES = 16, DNS_RESOLVERS = 3, DNS_ENTRY_FILE = 32768 };

struct dns_address {
  uint8_t size; /* 4 or 16 */
  uint8_t bytes[16];
  uint32_t scope; /* of a link-local address */
};

struct dns_entry {
  char *key; /* the name of its file */
  int pid;
  uint64_t started_at; /* as of /proc/PID/stat; 0: not known */
  int pidfd;
  size_t name_count, address_count, resolver_count;
  struct dns_name *names; /* the first is what its address stands for */
  struct dns_address addresses[DNS_ENTRY_ADDRESSES];
  struct dns_address resolvers[DNS_RESOLVERS]; /* to be asked for this container, in the place of the host's */
  struct dns_entry *next;
};

bool dns_address_from_text(const char *text, struct dns_address *address);

/*
 * Read the text of a file: lines `pid PID START`, `address ADDRESS`, `name NAME`, `server ADDRESS`. Lines that are none
 * of these are passed over. NULL: there is no pid in it, or no memory.
 */
struct dns_entry *dns_entry_from_text(const char *key, const char *text);
void dns_entry_free(struct dns_entry *entry);

/* Answer from the entries. False: it is nothing of theirs, somebody else may know. */
bool dns_answer_from(const struct dns_entry *entries, const uint8_t *message, const struct dns_query *query, unsigned turn,
                     uint8_t *bytes, size_t room, size_t *size);

/* The entry that has an address. */
const struct dns_entry *dns_entry_at(const struct dns_entry *entries, const uint8_t *address, size_t size);
