/** `mounts`, `volumes` and `tmpfs` in the words of podman-run(1). Pure. */
import { parseSize } from '../../schema/quantities.js'
import { parseMode } from '../options-schema.js'
import type {
  IdMapOption,
  IdMapRange,
  ImageMountOption,
  MountOption,
  MountOwnerOptions,
  TmpfsMountOption,
} from '../options.js'
import { omit, type Entry, type Section } from './entry.js'
import { isPlain } from './unit-text.js'

export function mountEntries(section: Section, mounts: readonly MountOption[]): Entry[] {
  return mounts.flatMap((mount, index) => {
    const at = `mounts[${String(index)}]`
    switch (mount.type) {
      case 'bind':
        return volumeEntries(section, mount.source, mount.target, [
          ...(mount.recursive === false ? ['bind'] : []),
          ...(mount.propagation === undefined ? [] : [`r${mount.propagation}`]),
          ...flagWords(mount),
          ...ownerWords(mount),
        ])
      case 'volume':
        if (mount.subpath !== undefined) return [omit(`${at}: Podman mounts no part of a volume`)]
        return volumeEntries(section, mount.source, mount.target, [
          ...(mount.noCopy === true ? ['nocopy'] : []),
          ...flagWords(mount),
          ...ownerWords(mount),
        ])
      case 'image':
        return imageEntries(section, mount, at)
      case 'tmpfs':
        return [tmpfsEntry(section, mount)]
    }
  })
}

/** `--volume`, or what `volumes` says of one. */
export function volumeOption(section: Section, text: string): Entry[] {
  const [first = '', target, ...words] = text.split(':')
  return target === undefined
    ? volumeEntries(section, undefined, first, [])
    : volumeEntries(section, first, target, words)
}

function volumeEntries(
  section: Section,
  source: string | undefined,
  target: string,
  words: readonly string[],
): Entry[] {
  // --volume has no way to say a colon.
  if ([source, target].some((path) => path?.includes(':') === true)) {
    return bindEntries(section, source, target, words)
  }
  const options = words.filter((one) => one !== '').join(',')
  const rest = `${target}${options === '' ? '' : `:${options}`}`
  if (source === undefined) return [section.line('Volume', 'volume', rest)]
  if (source.startsWith('/')) return [section.line('Volume', 'volume', `${source}:${rest}`)]
  // By the name of its unit, where that can be said, so that systemd makes the volume first.
  return [
    isPlain(rest)
      ? section.line('Volume', 'volume', `${source}.volume:${rest}`)
      : section.flag('volume', `${source}:${rest}`),
  ]
}

function bindEntries(section: Section, source: string | undefined, target: string, words: readonly string[]): Entry[] {
  const type = source?.startsWith('/') === true ? 'bind' : 'volume'
  const of = (word: string): string => {
    if (word === 'bind') return 'bind-nonrecursive=true'
    if (word === 'U') return 'chown=true'
    return /^r?(private|slave|shared|unbindable)$/.test(word) ? `bind-propagation=${word}` : word
  }
  const fields = [`type=${type}`, ...(source === undefined ? [] : [`source=${source}`]), `destination=${target}`]
  return [
    section.flag(
      'mount',
      [...fields, ...words.filter((one) => one !== 'rw' && one !== 'rbind').map(of)].map(csv).join(','),
    ),
  ]
}

function imageEntries(section: Section, mount: ImageMountOption, at: string): Entry[] {
  const { source, target, subpath, readOnly = true } = mount
  const flags = mount.noExec === true || mount.noSuid === false || mount.noDev === false
  const fields = [
    'type=image',
    `source=${source}`,
    `destination=${target}`,
    ...(readOnly ? [] : ['rw=true']),
    ...(subpath === undefined ? [] : [`subpath=${subpath}`]),
  ]
  return [
    section.line('Mount', 'mount', fields.map(csv).join(',')),
    ...(flags ? [omit(`${at}: Podman mounts images without noSuid, noDev and noExec of one's own`)] : []),
  ]
}

function tmpfsEntry(section: Section, mount: TmpfsMountOption): Entry {
  const { target, size, mode } = mount
  const words = [
    ...(size === undefined ? [] : [`size=${String(parseSize(size))}`]),
    ...(mode === undefined ? [] : [`mode=${(parseMode(mode) ?? 0).toString(8)}`]),
    ...flagWords(mount),
  ]
  return section.line('Tmpfs', 'tmpfs', words.length === 0 ? target : `${target}:${words.join(',')}`)
}

function flagWords(mount: {
  readonly readOnly?: boolean
  readonly noSuid?: boolean
  readonly noDev?: boolean
  readonly noExec?: boolean
}): string[] {
  const { readOnly, noSuid, noDev, noExec } = mount
  const one = (value: boolean | undefined, name: string): string[] =>
    value === undefined ? [] : [value ? `no${name}` : name]
  return [...(readOnly === true ? ['ro'] : []), ...one(noSuid, 'suid'), ...one(noDev, 'dev'), ...one(noExec, 'exec')]
}

function ownerWords({ chown, relabel, idmap }: MountOwnerOptions): string[] {
  return [
    ...(chown === true ? ['U'] : []),
    ...(relabel === undefined ? [] : [relabel === 'private' ? 'Z' : 'z']),
    ...(idmap === undefined ? [] : [idMapWord(idmap)]),
  ]
}

function idMapWord(idmap: 'container' | IdMapOption): string {
  if (idmap === 'container') return 'idmap'
  const { uids, gids, relative = false } = idmap
  const ranges = (of: readonly IdMapRange[]): string =>
    (relative ? '@' : '') +
    of.map(({ files, seen, size }) => `${String(files)}-${String(seen)}-${String(size)}`).join('#')
  return `idmap=uids=${ranges(uids)};gids=${ranges(gids)}`
}

/** A field of a line of comma-separated values (RFC 4180), as which Podman reads `--mount`. */
function csv(field: string): string {
  return /[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field
}
