/* What a keeper (keep.c) has the kernel mount. A failure is answered, and ends it. */
#pragma once

/* type, source, attributes, options... */
void mount_kernel(const char *target, char *const *arguments);

/* cryptsetup, mapping, file, program and arguments to make a file system... */
void mount_luks(const char *target, char *const *arguments);
