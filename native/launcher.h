#pragma once

/* Serve requests from descriptor 3 until it ends. Returns the exit status. */
int launcher_main(void);
