#pragma once

/*
 * What a launcher of an ordinary user does first: enter a user and a mount namespace, as the host tells over descriptor 3.
 * Returns 0 once inside, and else the exit status.
 */
int rootless_enter(void);
