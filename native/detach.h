#pragma once

/* detach.c: `arguments` are FIFO, CONSOLE and PASSED, `-` for none. */
_Noreturn void detach_main(char *const *arguments);
