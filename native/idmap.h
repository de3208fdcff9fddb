#pragma once

/* A descriptor of a new user namespace with these maps (user_namespaces(7)); -1. */
int make_user_namespace(const char *uid_map, const char *gid_map);
