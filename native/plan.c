#include "plan.h"

#include <string.h>

/* The fields of each operation: b u8, u u32, q u64, t text, m maybe, T list of text, y blob, Y list of blob,
   R list of {q t}, P list of {q u}. */
static const char *const shapes[OP_COUNT] = {
    [OP_PROPAGATION] = "b",
    [OP_ROOT_OVERLAY] = "TmmTt",
    [OP_ROOT_BIND] = "t",
    [OP_MOUNT] = "tttuuTbm",
    [OP_BIND] = "utmtbuuuubbmmmmT",
    [OP_MKDIR] = "tuuu",
    [OP_MKNOD] = "tbuuuuu",
    [OP_SYMLINK] = "tt",
    [OP_WRITE_FILE] = "tuy",
    [OP_PIVOT_ROOT] = "",
    [OP_MASK] = "tm",
    [OP_READ_ONLY] = "t",
    [OP_MOUNT_READ_ONLY] = "t",
    [OP_HOSTNAME] = "t",
    [OP_DOMAINNAME] = "t",
    [OP_SYSCTL] = "tt",
    [OP_LOOPBACK_UP] = "",
    [OP_RLIMIT] = "uqq",
    [OP_OOM_SCORE_ADJ] = "u",
    [OP_UMASK] = "u",
    [OP_KEYRING] = "",
    [OP_NO_NEW_PRIVS] = "",
    [OP_USER] = "tTb",
    [OP_CAPABILITIES] = "qqqqq",
    [OP_SECCOMP] = "yu",
    [OP_CHDIR] = "tb",
    [OP_INIT] = "m",
    [OP_BARRIER] = "",
    [OP_EXEC] = "TT",
    [OP_NETLINK] = "Y",
    [OP_EXIT] = "",
    [OP_FILL] = "ttttb",
    [OP_TAKE] = "utmbbmmm",
    [OP_KEEP_ROOT] = "um",
    [OP_ADOPT] = "tt",
    [OP_TERMINAL] = "uub",
    [OP_ONCE] = "u",
    [OP_PROBE] = "um",
    [OP_OPEN_NETWORK] = "u",
    [OP_HOLD] = "",
    [OP_HOOK] = "tTTtumb",
    [OP_LANDLOCK] = "qqqRP",
    [OP_ENTER_PIDS] = "",
    [OP_PART] = "tTb",
    [OP_IDS] = "uuTb",
    [OP_ATTRIBUTE] = "tt",
    [OP_MAP_IDS] = "ttt",
    [OP_ENTER_USER] = "",
    [OP_PERSONALITY] = "u",
    [OP_SCHEDULER] = "uquuqqq",
    [OP_IO_PRIORITY] = "u",
    [OP_MEMORY_POLICY] = "uy",
    [OP_AFFINITY] = "yy",
    [OP_ACCOUNT] = "tuttut",
    [OP_PLACE_INIT] = "t",
};

/* The next `size` bytes, or NULL when there are fewer. */
static const uint8_t *take(struct reader *reader, size_t size) {
  if (reader->broken || (size_t)(reader->end - reader->at) < size) {
    reader->broken = true;
    return NULL;
  }
  const uint8_t *taken = reader->at;
  reader->at += size;
  return taken;
}

uint8_t read_u8(struct reader *reader) {
  const uint8_t *byte = take(reader, 1);
  return byte ? *byte : 0;
}

uint32_t read_u32(struct reader *reader) {
  uint32_t value = 0;
  const uint8_t *bytes = take(reader, sizeof(value));
  if (bytes) memcpy(&value, bytes, sizeof(value));
  return value;
}

uint64_t read_u64(struct reader *reader) {
  uint64_t value = 0;
  const uint8_t *bytes = take(reader, sizeof(value));
  if (bytes) memcpy(&value, bytes, sizeof(value));
  return value;
}

const char *read_text(struct reader *reader) {
  uint32_t length = read_u32(reader);
  const uint8_t *bytes = take(reader, (size_t)length + 1);
  if (bytes && bytes[length] == '\0' && memchr(bytes, '\0', length) == NULL) return (const char *)bytes;
  reader->broken = true;
  return "";
}

const char *read_maybe(struct reader *reader) {
  uint8_t present = read_u8(reader);
  if (present > 1) reader->broken = true;
  return present == 1 ? read_text(reader) : NULL;
}

struct blob read_blob(struct reader *reader) {
  struct blob blob = {.size = read_u32(reader)};
  blob.data = take(reader, blob.size);
  if (!blob.data) blob.size = 0;
  return blob;
}

struct operation read_operation(struct reader *reader) {
  struct operation operation = {.code = read_u32(reader)};
  uint32_t length = read_u32(reader);
  const uint8_t *fields = take(reader, length);
  operation.fields = fields ? (struct reader){.at = fields, .end = fields + length} : (struct reader){.broken = true};
  return operation;
}

/* Step over fields of this shape. */
static void skip(struct reader *reader, const char *shape) {
  for (; *shape && !reader->broken; shape++) {
    switch (*shape) {
      case 'b': read_u8(reader); break;
      case 'u': read_u32(reader); break;
      case 'q': read_u64(reader); break;
      case 't': read_text(reader); break;
      case 'm': read_maybe(reader); break;
      case 'T': read_texts(reader); break;
      case 'y': read_blob(reader); break;
      case 'Y': read_blobs(reader); break;
      case 'R': read_path_rules(reader); break;
      case 'P': read_port_rules(reader); break;
      default: reader->broken = true;
    }
  }
}

/* A list of items that each have this shape; the reader ends behind it. */
static struct list read_list(struct reader *reader, const char *shape) {
  struct list list = {.count = read_u32(reader), .items = *reader};
  for (uint32_t i = 0; i < list.count && !reader->broken; i++) skip(reader, shape);
  if (reader->broken) return (struct list){.items = {.broken = true}};
  list.items.end = reader->at;
  return list;
}

struct list read_texts(struct reader *reader) {
  return read_list(reader, "t");
}

struct list read_blobs(struct reader *reader) {
  return read_list(reader, "y");
}

struct list read_path_rules(struct reader *reader) {
  return read_list(reader, "qt");
}

struct list read_port_rules(struct reader *reader) {
  return read_list(reader, "qu");
}

/* Operations carry their length; it must be just that of their fields. */
static struct list read_operations(struct reader *reader) {
  struct list list = {.count = read_u32(reader), .items = *reader};
  for (uint32_t i = 0; i < list.count && !reader->broken; i++) {
    struct operation operation = read_operation(reader);
    if (operation.code == 0 || operation.code >= OP_COUNT) reader->broken = true;
    if (reader->broken) break;
    skip(&operation.fields, shapes[operation.code]);
    if (operation.fields.broken || operation.fields.at != operation.fields.end) reader->broken = true;
  }
  list.items.end = reader->at;
  return list;
}

bool plan_enters_pids(const struct plan *plan) {
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++)
    if (read_operation(&items).code == OP_ENTER_PIDS) return true;
  return false;
}

static struct log_plan read_log(struct reader *reader) {
  struct log_plan log = {.driver = read_u8(reader)};
  if (log.driver > LOG_JOURNAL) reader->broken = true;
  if (log.driver == LOG_NONE) return log;
  log.stops_when_full = read_u8(reader);
  log.target = read_text(reader);
  log.fields = read_text(reader);
  log.max_size = read_u64(reader);
  log.max_files = read_u32(reader);
  return log;
}

static struct health_plan read_health(struct reader *reader) {
  struct health_plan health = {.interval = read_u64(reader), .timeout = read_u64(reader)};
  health.start_period = read_u64(reader);
  health.start_interval = read_u64(reader);
  health.retries = read_u32(reader);
  health.action = read_u8(reader);
  health.stop_signal = read_u32(reader);
  health.stop_timeout = read_u64(reader);
  health.when_restored = read_u8(reader) == 1;
  health.file = read_text(reader);
  health.check = read_blob(reader);
  if (health.interval == 0 || health.start_interval == 0 || health.action > HEALTH_RESTART) reader->broken = true;
  return health;
}

/* The steps before OP_ENTER_USER, which stands in a plan with maps alone; 0: it isn't there. */
static uint32_t count_outside(const struct plan *plan, struct reader *reader) {
  struct reader items = plan->operations.items;
  for (uint32_t i = 0; i < plan->operations.count; i++) {
    if (read_operation(&items).code != OP_ENTER_USER) continue;
    if (i == 0 || !plan->uid_map) reader->broken = true;
    return i;
  }
  return 0;
}

bool plan_decode(struct plan *plan, const void *bytes, size_t size) {
  const uint8_t *start = bytes;
  struct reader reader = {.at = start, .end = start + size};
  *plan = (struct plan){.start_fd = -1};
  if (read_u32(&reader) != PLAN_MAGIC || read_u32(&reader) != PLAN_VERSION) return false;
  plan->create = read_u32(&reader);
  plan->join = read_list(&reader, "ut");
  plan->peer = read_maybe(&reader);
  plan->peer_fd = -1;
  if (read_u8(&reader) == 1) {
    plan->listener.path = read_text(&reader);
    plan->listener.state = read_text(&reader);
    plan->listener.container = read_u32(&reader);
  }
  if (read_u8(&reader) == 1) {
    plan->uid_map = read_text(&reader);
    plan->gid_map = read_text(&reader);
  }
  plan->shared = read_texts(&reader);
  plan->directories = read_texts(&reader);
  plan->writes = read_list(&reader, "ttb");
  plan->into = read_maybe(&reader);
  plan->attach = read_texts(&reader);
  plan->unified = read_maybe(&reader);
  plan->freezer = read_maybe(&reader);
  plan->oom_events = read_maybe(&reader);
  plan->device_program = read_blob(&reader);
  for (size_t i = 0; i < array_length(plan->stdio); i++) {
    plan->stdio[i] = read_u8(&reader);
    if (plan->stdio[i] > STDIO_TERMINAL) reader.broken = true;
    bool input = plan->stdio[i] == STDIO_OPEN || plan->stdio[i] == STDIO_ONCE;
    if (i == 0 ? plan->stdio[i] == STDIO_LOG : input) reader.broken = true;
    if ((plan->stdio[i] == STDIO_TERMINAL) != (plan->stdio[0] == STDIO_TERMINAL)) reader.broken = true;
  }
  plan->stream_label = read_maybe(&reader);
  plan->has_monitor = read_u8(&reader) == 1;
  if (plan->has_monitor) {
    plan->lifetime = read_u8(&reader);
    plan->socket = read_text(&reader);
    plan->exit_file = read_text(&reader);
    plan->log = read_log(&reader);
    if (read_u8(&reader) == 1) {
      plan->journal = read_text(&reader);
      plan->journal_limit = read_u32(&reader);
      plan->journal_members = read_text(&reader);
    }
    plan->restart = read_u8(&reader);
    plan->restart_maximum = read_u32(&reader);
    if (plan->restart > RESTART_ON_REQUEST) reader.broken = true;
    if (read_u8(&reader) == 1) plan->health = read_health(&reader);
  }
  plan->space = read_maybe(&reader);
  plan->links = read_list(&reader, "yu");
  plan->teardown = read_blobs(&reader);
  plan->unlinks = read_blobs(&reader);
  plan->operations = read_operations(&reader);
  if (!reader.broken) plan->outside = count_outside(plan, &reader);
  return !reader.broken && reader.at == reader.end;
}
