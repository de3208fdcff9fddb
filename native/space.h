#pragma once

/*
 * Keep a network namespace of an ordinary user's for his hosts (space.c). SOCKET: where hosts ask, made here; USERS: the file
 * whose lock tells that there are any. Descriptor 3 is the user namespace; 4, where it is open, the network namespace, else a new
 * one is made. Returns what is wrong as an exit status, with the reason on stderr.
 */
int space_main(const char *socket_path, const char *users_path);
