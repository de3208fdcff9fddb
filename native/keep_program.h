/* Programs that a keeper (keep.c) runs, what they say, and what the keeper answers. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL_FD = 3 };
enum { FAILED = 255 }; /* in the place of a program's exit code: it was a call of ours */

void answer_failure(uint8_t code, uint32_t error, const char *text);

/* `call` failed with errno. */
_Noreturn void give_up(const char *call);

/* What the host sends for the program to read. */
struct secret {
  size_t size;
  char bytes[4096];
};

void receive_secret(struct secret *secret);

/*
 * The program, as our child, with the secret on its standard input; NULL: nothing. What it says comes back on `said`. It ends
 * when we do, however that is. The secret's memory is blanked out.
 */
pid_t run_program(const char *const *command, struct secret *secret, int *said);

/* Run a program to its end. Returns its status for wait(2), and on `said` what it said. */
int finish_program(const char *const *command, struct secret *secret, int *said);

/* What it said, in one text. */
void answer_exit(int status, int said);
