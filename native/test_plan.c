/* The decoder: whatever the bytes, it reads none outside of them and believes nothing that is not whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plan.h"
#include "test.h"

struct writer {
  uint8_t bytes[2048];
  size_t size;
};

static void put(struct writer *out, const void *data, size_t size) {
  memcpy(out->bytes + out->size, data, size);
  out->size += size;
}

static void put_u8(struct writer *out, uint8_t value) {
  put(out, &value, 1);
}

static void put_u32(struct writer *out, uint32_t value) {
  put(out, &value, sizeof(value));
}

static void put_u64(struct writer *out, uint64_t value) {
  put(out, &value, sizeof(value));
}

static void put_text(struct writer *out, const char *text) {
  put_u32(out, (uint32_t)strlen(text));
  put(out, text, strlen(text) + 1);
}

/* A plan with something in every section. */
static void sample(struct writer *out) {
  out->size = 0;
  put_u32(out, PLAN_MAGIC);
  put_u32(out, PLAN_VERSION);
  put_u32(out, 0x20000);
  put_u32(out, 1);
  put_u32(out, 0x40000000);
  put_text(out, "/proc/1/ns/net");
  put_u8(out, 1);
  put_text(out, "/proc/1/ns/mnt");
  put_u8(out, 1);
  put_text(out, "/run/agent");
  put_text(out, "{\"state\":{");
  put_u32(out, 0);
  put_u8(out, 1);
  put_text(out, "0 0 1");
  put_text(out, "0 0 1");
  put_u32(out, 1);
  put_text(out, "/pod");
  put_u32(out, 2);
  put_text(out, "/a");
  put_text(out, "/a/b");
  put_u32(out, 1);
  put_text(out, "/a/b/max");
  put_text(out, "1");
  put_u8(out, 0);
  put_u8(out, 1);
  put_text(out, "/a/b");
  put_u32(out, 0);
  put_u8(out, 0);
  put_u8(out, 0);
  put_u8(out, 0);
  put_u32(out, 0);
  put_u8(out, STDIO_NULL);
  put_u8(out, STDIO_LOG);
  put_u8(out, STDIO_PASS);
  put_u8(out, 1);
  put_text(out, "u:r:t:s0");
  put_u8(out, 1);
  put_u8(out, LIFETIME_DETACHED);
  put_text(out, "/run/s");
  put_text(out, "/run/e");
  put_u8(out, LOG_JSON);
  put_u8(out, 1);
  put_text(out, "/run/l");
  put_text(out, "{}");
  put_u32(out, 4096);
  put_u32(out, 0);
  put_u32(out, 3);
  put_u8(out, 1);
  put_text(out, "/events/journal");
  put_u32(out, 4096);
  put_text(out, "\"id\":\"a\"");
  put_u8(out, RESTART_ON_FAILURE);
  put_u32(out, 3);
  put_u8(out, 1);
  put_u64(out, 30000);
  put_u64(out, 1000);
  put_u64(out, 0);
  put_u64(out, 5000);
  put_u32(out, 3);
  put_u8(out, HEALTH_STOP);
  put_u32(out, 15);
  put_u64(out, 10000);
  put_u8(out, 0);
  put_text(out, "/run/h");
  put_u32(out, 5);
  put(out, "check", 5);
  put_u8(out, 1);
  put_text(out, "/run/user/1000/network/socket");
  put_u32(out, 1);
  put_u32(out, 4);
  put(out, "link", 4);
  put_u32(out, NO_PID);
  put_u32(out, 0);
  put_u32(out, 0);
  put_u32(out, 2);
  put_u32(out, OP_HOSTNAME);
  put_u32(out, 4 + 5);
  put_text(out, "host");
  put_u32(out, OP_EXEC);
  put_u32(out, 4 + 7 + 4);
  put_u32(out, 1);
  put_text(out, "sh");
  put_u32(out, 0);
}

/* The bytes right before a page that can't be read: a step too far is a crash, and a crash fails the test. */
static uint8_t *guarded(const uint8_t *bytes, size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  static uint8_t *area;
  if (!area) {
    area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + page, page, PROT_NONE) < 0) abort();
  }
  memcpy(area + page - size, bytes, size);
  return area + page - size;
}

/* Read all that an accepted plan has, as the interpreter would. */
static size_t walk(struct plan *plan) {
  size_t seen = plan->health.file ? strlen(plan->health.file) : 0;
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++) {
    struct operation operation = read_operation(&items);
    if (operation.code == OP_EXEC) {
      struct list argv = read_texts(&operation.fields);
      for (uint32_t j = 0; j < argv.count; j++) seen += strlen(read_text(&argv.items));
    } else if (operation.code == OP_HOSTNAME) {
      seen += strlen(read_text(&operation.fields));
    }
  }
  return seen;
}

void test_plan(void) {
  struct writer out;
  struct plan plan;
  sample(&out);
  bool fine = plan_decode(&plan, guarded(out.bytes, out.size), out.size);
  check(fine, "a whole plan is taken");
  check(fine && plan.create == 0x20000 && plan.join.count == 1 && plan.shared.count == 1 &&
            plan.directories.count == 2 && plan.writes.count == 1,
        "its lists are counted");
  check(fine && plan.into && strcmp(plan.into, "/a/b") == 0 && !plan.unified && strcmp(plan.socket, "/run/s") == 0,
        "its texts are there, absent ones are not");
  check(fine && walk(&plan) == strlen("/run/h") + strlen("host") + strlen("sh"), "its operations are read");

  bool any = false;
  for (size_t size = 0; size < out.size; size++) any = any || plan_decode(&plan, guarded(out.bytes, size), size);
  check(!any, "no plan that is cut short is taken");
  put_u8(&out, 0);
  check(!plan_decode(&plan, guarded(out.bytes, out.size), out.size), "nor one with bytes behind it");

  sample(&out);
  uint8_t *text = memmem(out.bytes, out.size, "host", 4);
  text[1] = '\0';
  check(!plan_decode(&plan, guarded(out.bytes, out.size), out.size), "a NUL inside a text is refused");
  text[1] = 'o';
  text[4] = 'x';
  check(!plan_decode(&plan, guarded(out.bytes, out.size), out.size), "a text without its NUL is refused");
  text[4] = '\0';
  uint32_t code = OP_COUNT;
  memcpy(text - 12, &code, sizeof(code));
  check(!plan_decode(&plan, guarded(out.bytes, out.size), out.size), "an unknown operation is refused");

  /* Fuzz: a fixed seed, so that a failure comes again. */
  srandom(20261124);
  size_t taken = 0, read = 0;
  for (int round = 0; round < 300000; round++) {
    sample(&out);
    long changes = 1 + random() % 6;
    for (long i = 0; i < changes; i++) {
      size_t at = (size_t)random() % out.size;
      if (random() % 2) out.bytes[at] = (uint8_t)random();
      else memset(out.bytes + at, random() % 2 ? 0xff : 0, out.size - at < 4 ? out.size - at : 4);
    }
    size_t size = random() % 4 ? out.size : (size_t)random() % out.size;
    uint8_t *bytes = guarded(out.bytes, size);
    if (!plan_decode(&plan, bytes, size)) continue;
    taken++;
    read += walk(&plan);
  }
  check(true, "300000 damaged plans did no harm");
  check(taken > 0 && read > 0, "and some of them were whole after all");
}
