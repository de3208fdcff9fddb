import type { VolumeMountAttributes } from './driver.js'

/** The words for flags of a mount (mount(8)) that volumes and OCI specs both know, and what each sets. */
export const mountFlags: Readonly<Record<string, VolumeMountAttributes>> = {
  ro: { readOnly: true },
  rw: { readOnly: false },
  suid: { noSuid: false },
  nosuid: { noSuid: true },
  dev: { noDev: false },
  nodev: { noDev: true },
  exec: { noExec: false },
  noexec: { noExec: true },
  relatime: { accessTime: 'relatime' },
  noatime: { accessTime: 'noatime' },
  strictatime: { accessTime: 'strictatime' },
}
