#pragma once

/*
 * Perform the operations that come from `stream_fd` inside `directory` and write results to `status_fd` (the format
 * stands in unpack.c). Returns the exit status of the process.
 */
int unpack_main(int stream_fd, int status_fd, const char *directory);
