#pragma once

/*
 * Run a program that goes into the background, and end it and all it started when a stream ends. Descriptor 3 is that
 * stream; 4 a network namespace, which the program finds at ATTENDED_NETNS. Returns the exit status of the program's first
 * process, which says whether it went into the background; 125: it could not be run, with the reason on stderr.
 */
int attend_main(char *const *command);

/* lib/network/pasta.ts has it too. */
#define ATTENDED_NETNS "/tmp/netns"
