/*
 * DNS messages (RFC 1035, RFC 6891) as far as a responder needs them. Pure: bytes in, bytes out. What comes in is hostile:
 * every step is checked against the end of the message, and nothing in it is followed, as a question needs no compression.
 */
#pragma once

#include "common.h"

enum { DNS_HEADER = 12, DNS_NAME_MAXIMUM = 255, DNS_LABEL_MAXIMUM = 63, DNS_PLAIN_UDP = 512, DNS_EDNS_UDP = 1232 };

enum dns_type { DNS_A = 1, DNS_PTR = 12, DNS_AAAA = 28, DNS_OPT = 41, DNS_ANY = 255 };
enum dns_class { DNS_IN = 1 };
enum dns_code { DNS_NOERROR = 0, DNS_FORMERR = 1, DNS_SERVFAIL = 2, DNS_NXDOMAIN = 3, DNS_NOTIMP = 4, DNS_BADVERS = 16 };

/* A name in wire form: length-prefixed labels in lower case, with the empty one at the end. */
struct dns_name {
  uint8_t bytes[DNS_NAME_MAXIMUM];
  uint8_t size; /* 0: no name */
};

struct dns_query {
  uint16_t id;
  bool recursion_desired;
  struct dns_name name;
  uint16_t type, class;
  size_t question_end; /* offset behind the question */
  bool edns;
  uint8_t edns_version;
  uint16_t udp_size; /* the largest answer that the client takes over UDP */
};

enum dns_verdict {
  DNS_FINE,
  DNS_IGNORE, /* no query: not to be answered at all */
  DNS_REFUSE, /* to be answered with the code that came with it */
};
enum dns_verdict dns_read_query(const uint8_t *message, size_t size, struct dns_query *query, enum dns_code *code);

/* `web.1` as a name. False: it has an empty or too long label, or is too long. */
bool dns_name_from_text(const char *text, size_t size, struct dns_name *name);
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);
/* Does `name` end in `suffix`? Then `rest` is what stands before, ended like a name; it may be the empty name. */
bool dns_name_below(const struct dns_name *name, const struct dns_name *suffix, struct dns_name *rest);
/* `2.0.88.10.in-addr.arpa` and the like: 4 or 16, the size of the address; 0: it is no such name. */
size_t dns_reverse_address(const struct dns_name *name, uint8_t address[16]);

/* An answer that grows. Records that find no room set the truncation bit instead. */
struct dns_answer {
  uint8_t *bytes;
  size_t size, room;
  size_t reserved; /* kept free for the OPT record */
  bool full;
};
/* Begin with the header, and the question of a query that could be read. */
void dns_begin(struct dns_answer *answer, uint8_t *bytes, size_t room, const uint8_t *message, const struct dns_query *query);
/* A record about the question's own name. */
void dns_add(struct dns_answer *answer, uint16_t type, const void *data, size_t size);
/* Finish. Returns the size. */
size_t dns_end(struct dns_answer *answer, const struct dns_query *query, enum dns_code code);

/*
 * The answer to a query that can't be answered. `question_end` is 0 when not even its question could be read; else the
 * question comes with it, as a client may ignore what has none. `bytes` may be the message itself.
 */
size_t dns_refuse(uint8_t *bytes, const uint8_t *message, size_t question_end, enum dns_code code);

/* Is `answer` an answer to `query`: the same id and question? */
bool dns_answers(const uint8_t *answer, size_t size, const uint8_t *query, size_t query_size);

/* Cut an answer down to its question, with the truncation bit set. Returns the size. */
size_t dns_truncate(uint8_t *message, size_t question_end);

static inline uint16_t dns_get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}
static inline void dns_put16(uint8_t *at, size_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}
