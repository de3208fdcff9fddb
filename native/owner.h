#pragma once

/*
 * Become root of the user namespace that a network namespace belongs to, unless that is ours: an ordinary user has no rights
 * over it from where he is. -1 with errno when it can't be had.
 */
int become_owner(int netns);

/* The same, of a user namespace. */
int become_root_of(int user_namespace);

/* No capability is left, whoever one is. */
int give_up_capabilities(void);

/* Run a program as that root, of the network namespace that descriptor 5 is. Returns what is wrong as an exit status. */
int own_main(char *const *command);
