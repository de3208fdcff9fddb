/* The native tests: small checks that print TAP. `make -C native check` runs them all as one stream. */
#pragma once

#include <stdbool.h>

/* One line of TAP; `what` as of printf(3). */
__attribute__((format(printf, 2, 3))) void check(bool fine, const char *what, ...);

void test_plan(void);
void test_passwd(void);
void test_log(void);
void test_resolve(void);
void test_overlay(void);
void test_dns(void);
void test_console(void);
void test_outside(void);
