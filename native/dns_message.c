#include "dns_message.h"

#include <string.h>

enum { QR = 0x80, OPCODE = 0x78, AA = 0x04, TC = 0x02, RD = 0x01, RA = 0x80, POINTER = 0xc0, OPT_SIZE = 11 };

static uint8_t lower(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

/* A name without compression at `at`. Returns the offset behind it; 0: it is none. */
static size_t read_name(const uint8_t *message, size_t size, size_t at, struct dns_name *name) {
  size_t used = 0;
  for (;;) {
    if (at >= size) return 0;
    uint8_t length = message[at];
    if (length > DNS_LABEL_MAXIMUM || size - at - 1 < length || used + length + 1 > DNS_NAME_MAXIMUM) return 0;
    name->bytes[used] = length;
    for (size_t i = 1; i <= length; i++) name->bytes[used + i] = lower(message[at + i]);
    used += length + 1U;
    at += length + 1U;
    if (length > 0) continue;
    name->size = (uint8_t)used;
    return at;
  }
}

/* Pass over a name that may end in a pointer, which is not followed. Returns the offset behind it; 0: it is none. */
static size_t skip_name(const uint8_t *message, size_t size, size_t at) {
  for (;;) {
    if (at >= size) return 0;
    uint8_t length = message[at];
    if ((length & POINTER) == POINTER) return size - at < 2 ? 0 : at + 2;
    if (length > DNS_LABEL_MAXIMUM || size - at - 1 < length) return 0;
    at += length + 1U;
    if (length == 0) return at;
  }
}

/* Look for EDNS among the additional records. */
static bool read_additional(const uint8_t *message, size_t size, size_t at, unsigned count, struct dns_query *query) {
  for (; count > 0; count--) {
    at = skip_name(message, size, at);
    if (at == 0 || size - at < 10) return false;
    uint16_t type = dns_get16(message + at), length = dns_get16(message + at + 8);
    if (size - at - 10 < length) return false;
    if (type == DNS_OPT) {
      if (query->edns) return false;
      query->edns = true;
      query->edns_version = message[at + 5];
      uint16_t room = dns_get16(message + at + 2);
      if (room > query->udp_size) query->udp_size = room;
    }
    at += 10U + length;
  }
  return true;
}

enum dns_verdict dns_read_query(const uint8_t *message, size_t size, struct dns_query *query, enum dns_code *code) {
  if (size < DNS_HEADER || message[2] & QR) return DNS_IGNORE;
  *query = (struct dns_query){
      .id = dns_get16(message), .recursion_desired = message[2] & RD, .udp_size = DNS_PLAIN_UDP};
  if ((message[2] & OPCODE) != 0) {
    *code = DNS_NOTIMP;
    return DNS_REFUSE;
  }
  *code = DNS_FORMERR;
  if (dns_get16(message + 4) != 1 || dns_get16(message + 6) != 0 || dns_get16(message + 8) != 0) return DNS_REFUSE;
  size_t at = read_name(message, size, DNS_HEADER, &query->name);
  if (at == 0 || size - at < 4) return DNS_REFUSE;
  query->type = dns_get16(message + at);
  query->class = dns_get16(message + at + 2);
  query->question_end = at + 4;
  if (!read_additional(message, size, at + 4, dns_get16(message + 10), query)) return DNS_REFUSE;
  return DNS_FINE;
}

bool dns_name_from_text(const char *text, size_t size, struct dns_name *name) {
  size_t used = 0, start = 0;
  name->size = 0;
  for (size_t i = 0; i <= size; i++) {
    if (i < size && text[i] != '.') continue;
    size_t length = i - start;
    /* One byte more: the empty label at the end. */
    if (length == 0 || length > DNS_LABEL_MAXIMUM || used + length + 2 > DNS_NAME_MAXIMUM) return false;
    name->bytes[used] = (uint8_t)length;
    for (size_t k = 0; k < length; k++) name->bytes[used + 1 + k] = lower((uint8_t)text[start + k]);
    used += length + 1;
    start = i + 1;
  }
  name->bytes[used] = 0;
  name->size = (uint8_t)(used + 1);
  return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b) {
  return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

bool dns_name_below(const struct dns_name *name, const struct dns_name *suffix, struct dns_name *rest) {
  if (suffix->size == 0 || name->size < suffix->size) return false;
  size_t start = (size_t)(name->size - suffix->size), at = 0;
  /* Only where a label begins. */
  while (at < start) at += name->bytes[at] + 1U;
  if (at != start || memcmp(name->bytes + start, suffix->bytes, suffix->size) != 0) return false;
  memcpy(rest->bytes, name->bytes, start);
  rest->bytes[start] = 0;
  rest->size = (uint8_t)(start + 1);
  return true;
}

static int digit(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

size_t dns_reverse_address(const struct dns_name *name, uint8_t address[16]) {
  static const struct {
    const char *text;
    size_t labels, bytes;
  } zones[] = {{"in-addr.arpa", 4, 4}, {"ip6.arpa", 32, 16}};
  for (size_t zone = 0; zone < array_length(zones); zone++) {
    struct dns_name suffix, rest;
    dns_name_from_text(zones[zone].text, strlen(zones[zone].text), &suffix);
    if (!dns_name_below(name, &suffix, &rest)) continue;
    size_t at = 0, label = zones[zone].labels;
    memset(address, 0, 16);
    while (rest.bytes[at] != 0 && label > 0) {
      size_t length = rest.bytes[at];
      unsigned value = 0;
      label--;
      if (length > (zone == 0 ? 3 : 1)) return 0;
      for (size_t i = 1; i <= length; i++) {
        int next = digit(rest.bytes[at + i]);
        if (next < 0 || (zone == 0 && next > 9)) return 0;
        value = value * (zone == 0 ? 10 : 16) + (unsigned)next;
      }
      if (value > 255) return 0;
      if (zone == 0) address[label] = (uint8_t)value;
      else address[label / 2] |= (uint8_t)(label % 2 == 0 ? value << 4 : value);
      at += length + 1;
    }
    return label == 0 && rest.bytes[at] == 0 ? zones[zone].bytes : 0;
  }
  return 0;
}

void dns_begin(struct dns_answer *answer, uint8_t *bytes, size_t room, const uint8_t *message, const struct dns_query *query) {
  *answer = (struct dns_answer){.bytes = bytes, .room = room, .reserved = query->edns ? OPT_SIZE : 0};
  memset(bytes, 0, DNS_HEADER);
  dns_put16(bytes, query->id);
  bytes[2] = (uint8_t)(QR | AA | (query->recursion_desired ? RD : 0));
  bytes[3] = RA;
  dns_put16(bytes + 4, 1);
  memcpy(bytes + DNS_HEADER, message + DNS_HEADER, query->question_end - DNS_HEADER);
  answer->size = query->question_end;
}

void dns_add(struct dns_answer *answer, uint16_t type, const void *data, size_t size) {
  if (answer->full || answer->room - answer->size < 12 + size + answer->reserved) {
    answer->full = true;
    return;
  }
  uint8_t *at = answer->bytes + answer->size;
  dns_put16(at, POINTER << 8 | DNS_HEADER);
  dns_put16(at + 2, type);
  dns_put16(at + 4, DNS_IN);
  /* Nobody may keep it: containers come and go. */
  memset(at + 6, 0, 4);
  dns_put16(at + 10, size);
  memcpy(at + 12, data, size);
  answer->size += 12 + size;
  dns_put16(answer->bytes + 6, dns_get16(answer->bytes + 6) + 1U);
}

size_t dns_end(struct dns_answer *answer, const struct dns_query *query, enum dns_code code) {
  answer->bytes[3] = (uint8_t)(RA | (code & 0xf));
  if (answer->full) answer->bytes[2] |= TC;
  if (query->edns) {
    uint8_t *at = answer->bytes + answer->size;
    memset(at, 0, OPT_SIZE);
    dns_put16(at + 1, DNS_OPT);
    dns_put16(at + 3, DNS_EDNS_UDP);
    at[5] = (uint8_t)(code >> 4);
    answer->size += OPT_SIZE;
    dns_put16(answer->bytes + 10, 1);
  }
  return answer->size;
}

size_t dns_refuse(uint8_t *bytes, const uint8_t *message, size_t question_end, enum dns_code code) {
  size_t size = question_end > 0 ? question_end : DNS_HEADER;
  memmove(bytes, message, size);
  bytes[2] = (uint8_t)(QR | (message[2] & (OPCODE | RD)));
  bytes[3] = (uint8_t)(RA | (code & 0xf));
  memset(bytes + 4, 0, 8);
  dns_put16(bytes + 4, question_end > 0);
  return size;
}

bool dns_answers(const uint8_t *answer, size_t size, const uint8_t *query, size_t query_size) {
  if (size < DNS_HEADER || query_size < DNS_HEADER || !(answer[2] & QR) || memcmp(answer, query, 2) != 0) return false;
  /* A server that could not read the query may leave the question out. */
  if (dns_get16(answer + 4) == 0) return (answer[3] & 0xf) != DNS_NOERROR;
  struct dns_name asked, told;
  size_t ours = read_name(query, query_size, DNS_HEADER, &asked), theirs = read_name(answer, size, DNS_HEADER, &told);
  if (ours == 0 || theirs == 0 || query_size - ours < 4 || size - theirs < 4) return false;
  return dns_get16(answer + 4) == 1 && dns_name_equal(&asked, &told) && memcmp(answer + theirs, query + ours, 4) == 0;
}

size_t dns_truncate(uint8_t *message, size_t question_end) {
  message[2] |= TC;
  memset(message + 6, 0, 6);
  return question_end;
}
