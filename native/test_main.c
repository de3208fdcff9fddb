#include "test.h"

#include <stdarg.h>
#include <stdio.h>

static int count, failed;

void check(bool fine, const char *what, ...) {
  va_list arguments;
  va_start(arguments, what);
  printf("%s %d - ", fine ? "ok" : "not ok", ++count);
  vprintf(what, arguments);
  putchar('\n');
  va_end(arguments);
  if (!fine) failed++;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  puts("TAP version 14");
  test_plan();
  test_passwd();
  test_log();
  test_resolve();
  test_overlay();
  test_dns();
  test_console();
  test_outside();
  printf("1..%d\n", count);
  return failed > 0;
}
