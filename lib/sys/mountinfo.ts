/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). Pure. */
export interface MountInfo {
  readonly id: number
  readonly parentId: number
  /** The file system's number, `major:minor`. */
  readonly device: string
  /** The directory of the file system that is mounted, `/` for the whole. */
  readonly root: string
  readonly mountPoint: string
  /** Options of this mount, such as `ro`, `nosuid`. */
  readonly options: readonly string[]
  readonly type: string
  readonly source: string
  /** Options of the file system itself. */
  readonly superOptions: readonly string[]
}

/** Undo the octal escapes of space, tab, newline and backslash. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))
}

/** Read the text of a mountinfo file. Lines that don't have the documented shape are left out. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = []
  for (const line of text.split('\n')) {
    const fields = line.split(' ')
    // Optional fields (propagation) stand between the sixth field and a lone hyphen, so the rest is counted from there.
    const hyphen = fields.indexOf('-', 6)
    const [id, parentId, device, root, mountPoint, options] = fields
    const [type, source, superOptions] = fields.slice(hyphen + 1)
    if (hyphen < 0 || device === undefined || root === undefined || mountPoint === undefined || options === undefined)
      continue
    if (type === undefined || source === undefined) continue
    mounts.push({
      id: Number(id),
      parentId: Number(parentId),
      device,
      root: unescape(root),
      mountPoint: unescape(mountPoint),
      options: options.split(','),
      type,
      source: unescape(source),
      superOptions: (superOptions ?? '').split(',').filter((option) => option !== ''),
    })
  }
  return mounts
}
