#pragma once

/* The keeper of a volume: see keep.c. `arguments` end with NULL. Returns the exit code. */
int keep_main(char *const *arguments);
