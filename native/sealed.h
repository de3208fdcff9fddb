#pragma once

/*
 * Go on as a copy of this program in a sealed memfd. A container that gets hold of /proc/PID/exe of ours then has a file
 * that nobody can write, and not the helper on disk (CVE-2019-5736). Returns 0 in the copy, -1 with errno on failure.
 */
int become_sealed(char *argv[]);
