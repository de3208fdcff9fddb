#include "log.h"

#include <stdio.h>
#include <string.h>

int log_open(struct log *log, const struct log_plan *plan) {
  static const struct log_driver *const drivers[] = {
      [LOG_K8S] = &log_k8s, [LOG_JSON] = &log_json, [LOG_JOURNAL] = &log_journal};
  log->plan = plan;
  log->driver = drivers[plan->driver];
  if (log->driver->open(log) == 0) return 0;
  log->plan = NULL;
  return -1;
}

void format_time(char text[TIME_SIZE], struct timespec time) {
  /* gmtime(3) would read the time zone's file for it. Days since 0000-03-01, so that a leap day ends its year. */
  int64_t days = time.tv_sec / 86400, rest = time.tv_sec % 86400;
  int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted_month = (5 * of_year + 2) / 153;
  int day = (int)(of_year - (153 * shifted_month + 2) / 5 + 1);
  int month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
  int year = (int)(year_of_era + era * 400 + (month <= 2));
  snprintf(text, TIME_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%09ld", year % 10000, month, day, (int)(rest / 3600),
           (int)(rest / 60 % 60), (int)(rest % 60), time.tv_nsec);
}

bool log_next_line(const char **at, const char *end, struct log_line *line) {
  if (*at >= end) return false;
  const char *newline = memchr(*at, '\n', (size_t)(end - *at));
  const char *stop = newline ? newline : end;
  *line = (struct log_line){.text = *at, .size = (size_t)(stop - *at), .whole = newline != NULL};
  *at = stop + 1;
  return true;
}

void log_lose(struct log *log, uint64_t lines) {
  log->lost_lines += lines;
  if (lines > 0) log->lost = true;
}

void log_write(struct log *log, enum log_stream stream, char *bytes, size_t size) {
  if (!log->plan || size == 0) return;
  log->amid_line[stream] = bytes[size - 1] != '\n';
  log->driver->write(log, stream, bytes, size);
}

void log_end_lines(struct log *log) {
  for (int stream = 0; stream < (int)array_length(log->amid_line); stream++) {
    char newline[2] = "\n";
    if (log->amid_line[stream]) log_write(log, (enum log_stream)stream, newline, 1);
  }
}

void log_end(struct log *log) {
  if (log->plan && log->driver->end) log->driver->end(log);
}

bool log_demands_end(struct log *log) {
  bool demands = log->lost && log->plan && log->plan->stops_when_full;
  log->lost = false;
  return demands;
}
