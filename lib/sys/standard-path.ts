/** Where a host has its programs when nobody says (PATH of environ(7)). */
export const standardDirectories = [
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/sbin',
  '/usr/bin',
  '/sbin',
  '/bin',
] as const

export const standardPath = standardDirectories.join(':')
