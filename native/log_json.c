/*
 * Docker's json-file: `{"log":"text\n","stream":"stdout","attrs":{"tag":"a"},"time":"2026-11-24T14:21:39.123456789Z"}`. A
 * piece is a log without "\n" at its end. JSON is text: what is no UTF-8 becomes U+FFFD, byte by byte, as Docker has it.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"

static char *put(char *out, const char *text) {
  size_t size = strlen(text);
  memcpy(out, text, size);
  return out + size;
}

/* The size that a character should have by its first byte; 0: none begins with this. */
static size_t expected_size(uint8_t byte) {
  if (byte < 0x80) return 1;
  if (byte >= 0xc2 && byte < 0xe0) return 2;
  if (byte >= 0xe0 && byte < 0xf0) return 3;
  return byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
}

/* How many of the bytes may be the begin of one character: all of it, a part of it at the end, or 0. (RFC 3629, 4) */
static size_t character(const uint8_t *bytes, size_t size) {
  size_t wanted = expected_size(bytes[0]), have = wanted < size ? wanted : size;
  for (size_t i = 1; i < have; i++)
    if ((bytes[i] & 0xc0) != 0x80) return 0;
  /* Too long a form of a lesser number, half of a pair of UTF-16, beyond U+10FFFF. */
  if (have > 1 && ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xed && bytes[1] > 0x9f) ||
                   (bytes[0] == 0xf0 && bytes[1] < 0x90) || (bytes[0] == 0xf4 && bytes[1] > 0x8f)))
    return 0;
  return have;
}

/* As Go's encoding/json escapes a text, HTML's characters too. */
static char *put_escaped(char *out, const uint8_t *bytes, size_t size) {
  static const char digits[] = "0123456789abcdef";
  for (const uint8_t *end = bytes + size; bytes < end;) {
    uint8_t byte = *bytes;
    if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&') {
      *out++ = (char)byte;
      bytes++;
    } else if (byte == '"' || byte == '\\') {
      *out++ = '\\';
      *out++ = (char)byte;
      bytes++;
    } else if (byte == '\r') {
      out = put(out, "\\r");
      bytes++;
    } else if (byte < 0x80) {
      out = put(out, "\\u00");
      *out++ = digits[byte >> 4];
      *out++ = digits[byte & 15];
      bytes++;
    } else {
      size_t length = character(bytes, (size_t)(end - bytes));
      if (length == 0 || length < expected_size(byte)) {
        out = put(out, "\\ufffd");
        bytes++;
      } else if (length == 3 && byte == 0xe2 && bytes[1] == 0x80 && (bytes[2] & 0xfe) == 0xa8) {
        /* U+2028 and U+2029 end a line of JavaScript. */
        out = put(out, bytes[2] == 0xa8 ? "\\u2028" : "\\u2029");
        bytes += length;
      } else {
        memcpy(out, bytes, length);
        out += length;
        bytes += length;
      }
    }
  }
  return out;
}

/* How many bytes at the end are a character whose rest is missing. */
static size_t torn(const uint8_t *bytes, size_t size) {
  for (size_t back = 1; back < 4 && back <= size; back++) {
    size_t wanted = expected_size(bytes[size - back]);
    if (wanted > back) return character(bytes + size - back, back) == back ? back : 0;
    if (wanted > 0) return 0;
  }
  return 0;
}

/* In Go's RFC3339Nano a fraction has no zeros at its end. */
static void format_tail(char *tail, size_t room, const struct log *log, enum log_stream stream) {
  char stamp[TIME_SIZE];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  format_time(stamp, now);
  size_t length = strlen(stamp);
  while (stamp[length - 1] == '0') length--;
  if (stamp[length - 1] == '.') length--;
  stamp[length] = '\0';
  const char *attrs = log->plan->fields;
  snprintf(tail, room, "\",\"stream\":\"%s\",%s%s%s\"time\":\"%sZ\"}\n", stream == LOG_STDOUT ? "stdout" : "stderr",
           *attrs ? "\"attrs\":" : "", attrs, *attrs ? "," : "", stamp);
}

static void put_entries(struct log *log, enum log_stream stream, const char *bytes, size_t size) {
  char tail[8 * 1024];
  format_tail(tail, sizeof(tail), log, stream);
  struct log_line line;
  for (const char *at = bytes, *end = bytes + size; log_next_line(&at, end, &line);) {
    char *begin = log_file_room(log, 6 * line.size + strlen(tail) + 16), *out = put(begin, "{\"log\":\"");
    out = put_escaped(out, (const uint8_t *)line.text, line.size);
    if (line.whole) out = put(out, "\\n");
    out = put(out, tail);
    log_file_add((size_t)(out - begin));
  }
}

static void write_entries(struct log *log, enum log_stream stream, char *bytes, size_t size) {
  static char joined[LOG_CHUNK + sizeof(log->held[0])];
  size_t held = log->held_size[stream];
  memcpy(joined, log->held[stream], held);
  memcpy(joined + held, bytes, size);
  size += held;
  held = torn((const uint8_t *)joined, size);
  log->held_size[stream] = held;
  memcpy(log->held[stream], joined + size - held, held);
  put_entries(log, stream, joined, size - held);
  log_file_settle(log);
}

static void write_held(struct log *log) {
  for (enum log_stream stream = LOG_STDOUT; stream <= LOG_STDERR; stream++) {
    put_entries(log, stream, (const char *)log->held[stream], log->held_size[stream]);
    log->held_size[stream] = 0;
  }
  log_file_settle(log);
}

/* What TypeScript puts into every line must fit beside it. */
static int open_file(struct log *log) {
  if (strlen(log->plan->fields) < 6 * 1024) return log_file_open(log);
  errno = E2BIG;
  return -1;
}

const struct log_driver log_json = {.open = open_file, .write = write_entries, .end = write_held};
