/** Mount tables of real machines, cut down to the lines that matter and a few that must not. */

/** A systemd machine of today: cgroup2 alone. */
export const PURE_V2 = `\
22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
29 22 0:25 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
30 22 0:26 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:10 - pstore pstore rw
`

/** systemd's hybrid set-up: v1 hierarchies, some of them shared by two controllers, and the tree that tracks services. */
export const SYSTEMD_HYBRID = `\
32 24 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
33 32 0:29 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
34 32 0:30 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
38 32 0:34 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,pids
39 32 0:35 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,cpu,cpuacct
40 32 0:36 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,net_cls,net_prio
41 32 0:37 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:18 - cgroup cgroup rw,memory
`

/** No systemd, v1 mounted by hand, with a space in a path. */
export const PURE_V1 = `\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /mnt/my\\040cgroups/memory rw,relatime - cgroup cgroup rw,memory,clone_children
`

/** systemd on cgroup2 with its own named v1 hierarchy left: that one carries no controllers. */
export const V2_WITH_NAMED = `\
29 22 0:25 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw
34 22 0:30 / /run/named rw,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
`

/** A container on a hybrid host without a cgroup namespace: every mount shows one part of its tree. */
export const INSIDE_CONTAINER = `\
812 790 0:60 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
813 812 0:35 /docker/0a1b /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec,relatime master:16 - cgroup cgroup rw,cpu,cpuacct
814 812 0:29 /docker/0a1b /sys/fs/cgroup/unified ro,nosuid,nodev,noexec,relatime master:10 - cgroup2 cgroup2 rw
`
