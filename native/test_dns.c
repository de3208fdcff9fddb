/* What containers send to the responder is hostile. */
#include <stdlib.h>
#include <string.h>

#include "dns_names.h"
#include "test.h"

/* A query of one question for a name in text; with an OPT record for `edns` bytes. */
static size_t query_for(uint8_t *bytes, const char *text, uint16_t type, uint16_t edns) {
  struct dns_name name;
  if (!dns_name_from_text(text, strlen(text), &name)) abort();
  memset(bytes, 0, DNS_HEADER);
  dns_put16(bytes, 0x1234);
  bytes[2] = 1;
  bytes[5] = 1;
  size_t size = DNS_HEADER;
  memcpy(bytes + size, name.bytes, name.size);
  size += name.size;
  dns_put16(bytes + size, type);
  dns_put16(bytes + size + 2, DNS_IN);
  size += 4;
  if (edns > 0) {
    bytes[11] = 1;
    memset(bytes + size, 0, 11);
    dns_put16(bytes + size + 1, DNS_OPT);
    dns_put16(bytes + size + 3, edns);
    size += 11;
  }
  return size;
}

static void test_names(void) {
  struct dns_name name, other, rest;
  check(dns_name_from_text("Web.One", 7, &name) && name.size == 9 && memcmp(name.bytes, "\3web\3one", 9) == 0,
        "a name in wire form, in lower case");
  const char *const bad[] = {"", ".", "a..b", "a.", ".a",
                             "0123456789012345678901234567890123456789012345678901234567890123"};
  for (size_t i = 0; i < array_length(bad); i++) check(!dns_name_from_text(bad[i], strlen(bad[i]), &other), "no name: \"%s\"", bad[i]);
  char text[256];
  for (size_t i = 0; i < sizeof(text); i++) text[i] = i % 2 == 0 ? 'a' : '.';
  check(dns_name_from_text(text, 253, &other) && other.size == 255, "253 characters are a name");
  check(!dns_name_from_text(text, 255, &other), "more are not");
  dns_name_from_text("one", 3, &other);
  check(dns_name_below(&name, &other, &rest) && rest.size == 5 && memcmp(rest.bytes, "\3web", 5) == 0, "below a domain");
  dns_name_from_text("xone", 4, &name);
  check(!dns_name_below(&name, &other, &rest), "not where the end of a label looks like it");
  check(dns_name_below(&other, &other, &rest) && rest.size == 1, "the domain itself");
  uint8_t address[16];
  const char v4[] = "2.0.88.10.in-addr.arpa";
  dns_name_from_text(v4, strlen(v4), &name);
  check(dns_reverse_address(&name, address) == 4 && memcmp(address, "\12\130\0\2", 4) == 0, "an address backwards");
  const char v6[] = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
  dns_name_from_text(v6, strlen(v6), &name);
  check(dns_reverse_address(&name, address) == 16 && address[0] == 0xfd && address[15] == 1, "one of IPv6");
  const char *const wrong[] = {"0.88.10.in-addr.arpa", "1.2.0.88.10.in-addr.arpa", "256.0.88.10.in-addr.arpa", "x.0.88.10.in-addr.arpa",
                               "0000.0.88.10.in-addr.arpa", "in-addr.arpa", "1.ip6.arpa", "10.88.0.2"};
  for (size_t i = 0; i < array_length(wrong); i++) {
    dns_name_from_text(wrong[i], strlen(wrong[i]), &name);
    check(dns_reverse_address(&name, address) == 0, "no address: %s", wrong[i]);
  }
}

static void test_queries(void) {
  uint8_t bytes[600];
  struct dns_query query;
  enum dns_code code = DNS_NOERROR;
  size_t size = query_for(bytes, "web", DNS_A, 0);
  check(dns_read_query(bytes, size, &query, &code) == DNS_FINE && query.id == 0x1234 && query.type == DNS_A && !query.edns &&
            query.udp_size == 512 && query.question_end == size,
        "a query");
  for (size_t cut = DNS_HEADER; cut < size; cut++) {
    check(dns_read_query(bytes, cut, &query, &code) == DNS_REFUSE && code == DNS_FORMERR, "cut to %zu bytes", cut);
  }
  check(dns_read_query(bytes, DNS_HEADER - 1, &query, &code) == DNS_IGNORE, "less than a header");
  bytes[2] |= 0x80;
  check(dns_read_query(bytes, size, &query, &code) == DNS_IGNORE, "an answer is no query");
  bytes[2] = 0x28;
  check(dns_read_query(bytes, size, &query, &code) == DNS_REFUSE && code == DNS_NOTIMP, "an update");
  bytes[2] = 0;
  bytes[5] = 2;
  check(dns_read_query(bytes, size, &query, &code) == DNS_REFUSE && code == DNS_FORMERR, "two questions");
  size = query_for(bytes, "web", DNS_A, 4096);
  check(dns_read_query(bytes, size, &query, &code) == DNS_FINE && query.edns && query.udp_size == 4096, "EDNS");
  size = query_for(bytes, "web", DNS_A, 100);
  check(dns_read_query(bytes, size, &query, &code) == DNS_FINE && query.udp_size == 512, "never less than 512 bytes");
  check(dns_read_query(bytes, size - 1, &query, &code) == DNS_REFUSE, "a record that is cut off");
  size = query_for(bytes, "web", DNS_A, 0);
  bytes[DNS_HEADER] = 0xc0;
  check(dns_read_query(bytes, size, &query, &code) == DNS_REFUSE, "a pointer in a question");
}

static struct dns_entry *entries(void) {
  struct dns_entry *first = dns_entry_from_text("a", "pid 1 7\nname web\nname Db.Main\nname bad..name\naddress 10.88.0.2\naddress fd00::2\n"
                                                     "nonsense\nserver 192.0.2.53\naddress 1.2.3\n\npid");
  struct dns_entry *second = dns_entry_from_text("b", "pid 2\nname web\naddress 10.88.0.3");
  if (!first || !second) abort();
  first->next = second;
  return first;
}

static void free_all(struct dns_entry *entry) {
  while (entry) {
    struct dns_entry *next = entry->next;
    dns_entry_free(entry);
    entry = next;
  }
}

/* The code of the answer, -1: it is for somebody else. */
static int ask(const struct dns_entry *list, const char *name, uint16_t type, uint16_t edns, uint8_t *answer, size_t *size) {
  uint8_t bytes[600];
  struct dns_query query;
  enum dns_code code;
  size_t length = query_for(bytes, name, type, edns);
  if (dns_read_query(bytes, length, &query, &code) != DNS_FINE) abort();
  if (!dns_answer_from(list, bytes, &query, 0, answer, query.udp_size, size)) return -1;
  if (!dns_answers(answer, *size, bytes, length)) abort();
  return answer[3] & 0xf;
}

static void test_answers(void) {
  struct dns_entry *list = entries();
  uint8_t answer[4096];
  size_t size = 0;
  check(list->started_at == 7 && list->name_count == 2 && list->address_count == 2 && list->resolver_count == 1 &&
            list->next->started_at == 0,
        "a file is read, past what is wrong in it");
  check(!dns_entry_from_text("c", "name web\naddress 10.0.0.1\n"), "one without a process is none");
  check(ask(list, "web", DNS_A, 0, answer, &size) == 0 && answer[7] == 2 && (answer[2] & 4), "all who have the name");
  check(size == DNS_HEADER + 9 + 2 * 16U && memcmp(answer + size - 20, "\12\130\0\2", 4) == 0, "with their addresses");
  check(ask(list, "WEB.dns.podling", DNS_A, 0, answer, &size) == 0 && answer[7] == 2, "with the domain, in any case");
  check(ask(list, "db.main", DNS_AAAA, 0, answer, &size) == 0 && answer[7] == 1, "IPv6, by an alias with a dot");
  check(ask(list, "db.main", 15, 0, answer, &size) == 0 && answer[7] == 0, "a name that has no such record");
  check(ask(list, "nobody", DNS_A, 0, answer, &size) == -1, "a name of nobody here");
  check(ask(list, "nobody.dns.podling", DNS_A, 0, answer, &size) == DNS_NXDOMAIN, "but not in the domain");
  check(ask(list, "dns.podling", DNS_A, 0, answer, &size) == 0 && answer[7] == 0, "the domain is there");
  check(ask(list, "2.0.88.10.in-addr.arpa", DNS_PTR, 0, answer, &size) == 0 && answer[7] == 1 &&
            memcmp(answer + size - 5, "\3web", 5) == 0,
        "backwards");
  check(ask(list, "9.0.88.10.in-addr.arpa", DNS_PTR, 0, answer, &size) == -1, "an address of nobody");
  check(ask(list, "web", DNS_A, 1232, answer, &size) == 0 && answer[11] == 1 && size == DNS_HEADER + 9 + 2 * 16U + 11, "EDNS comes back");
  for (int i = 0; i < 200; i++) {
    struct dns_entry *more = dns_entry_from_text("m", "pid 1\nname many\naddress 10.88.1.1\n");
    if (!more) abort();
    more->next = list;
    list = more;
  }
  check(ask(list, "many", DNS_A, 0, answer, &size) == 0 && size <= 512 && (answer[2] & 2), "too many for UDP: truncated");
  check(ask(list, "many", DNS_A, 1232, answer, &size) == 0 && size <= 1232 && (answer[2] & 2), "with EDNS there is room for more");
  free_all(list);
  uint8_t query[600];
  size = query_for(query, "a.b", DNS_A, 0);
  memcpy(answer, query, size);
  answer[2] = 0x80;
  check(dns_answers(answer, size, query, size), "an answer is one to its question");
  answer[13] = 'x';
  check(!dns_answers(answer, size, query, size), "not to another");
  answer[13] = 'A';
  check(dns_answers(answer, size, query, size), "letters may come back in another case");
  answer[0]++;
  check(!dns_answers(answer, size, query, size), "nor with another id");
}

/* Exactly as many bytes as are allocated: a sanitizer or an allocator that checks sees a step too far. */
static void test_noise(void) {
  struct dns_entry *list = entries();
  srandom(20261124);
  size_t fine = 0, answered = 0;
  static const char *const names[] = {"web", "db.main", "web.dns.podling", "2.0.88.10.in-addr.arpa", "example.org"};
  for (int round = 0; round < 200000; round++) {
    uint8_t bytes[600], answer[DNS_EDNS_UDP];
    size_t size = query_for(bytes, names[random() % (long)array_length(names)], (uint16_t)(random() % 40), round % 2 ? 1232 : 0);
    for (long changes = random() % 4; changes > 0; changes--) bytes[(size_t)random() % size] = (uint8_t)random();
    size = (size_t)random() % 4 == 0 ? (size_t)random() % (size + 1) : size;
    uint8_t *exact = malloc(size + 1);
    if (!exact) abort();
    memcpy(exact, bytes, size);
    struct dns_query query;
    enum dns_code code;
    if (dns_read_query(exact, size, &query, &code) == DNS_FINE) {
      fine++;
      size_t length = 0;
      size_t room = query.udp_size < sizeof(answer) ? query.udp_size : sizeof(answer);
      if (dns_answer_from(list, exact, &query, (unsigned)round, answer, room, &length)) {
        answered++;
        if (length > room || !dns_answers(answer, length, exact, size)) abort();
      }
    }
    dns_answers(exact, size, bytes, sizeof(bytes));
    free(exact);
  }
  check(fine > 1000 && answered > 1000, "200000 queries with noise do no harm (%zu could be read, %zu answered)", fine, answered);
  for (int round = 0; round < 50000; round++) {
    char text[128];
    size_t size = (size_t)random() % sizeof(text);
    for (size_t i = 0; i < size; i++) text[i] = "name pid\n address 1.: f"[random() % 23];
    text[size == sizeof(text) ? size - 1 : size] = '\0';
    struct dns_entry *entry = dns_entry_from_text("n", text);
    if (entry) dns_entry_free(entry);
  }
  check(true, "nor do 50000 files");
  free_all(list);
}

void test_dns(void) {
  test_names();
  test_queries();
  test_answers();
  test_noise();
}
