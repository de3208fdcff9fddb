/** AppArmor: the profile that containers have where nobody says another. Pure. */

export const defaultProfileName = 'podling-default'

/**
 * What keeps a container's root, beside its capabilities and masked paths, from the kernel's files that rule the whole
 * machine, and from mounting. In the language of apparmor.d(5), for apparmor_parser(8), without includes.
 */
export const defaultProfile = `profile ${defaultProfileName} flags=(attach_disconnected, mediate_deleted) {
  network,
  capability,
  file,
  umount,

  signal (receive),
  signal (send) peer=${defaultProfileName},
  ptrace (trace, read, tracedby, readby) peer=${defaultProfileName},

  deny mount,

  deny /proc/sysrq-trigger rwklx,
  deny /proc/kcore rwklx,
  deny /proc/sys/vm/** w,
  deny /proc/sys/dev/** w,
  deny /proc/sys/fs/{[^m],m[^q]}** w,
  deny /proc/sys/kernel/{core_pattern,modprobe,hotplug,poweroff_cmd,sysrq,panic*,kptr_restrict,dmesg_restrict} w,
  deny /proc/sys/kernel/{randomize_va_space,perf_*,unprivileged_*,modules_disabled,kexec_load_disabled,yama/**} w,

  deny /sys/[^f]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
}
`

/** The names in /sys/kernel/security/apparmor/profiles, lines of `name (mode)`. */
export function parseProfiles(text: string): Set<string> {
  return new Set(text.split('\n').flatMap((line) => /^(.+) \([a-z]+\)$/.exec(line)?.[1] ?? []))
}
