/** The options of a mount in an OCI spec (config.md, "Mounts"), told apart into what the kernel takes separately. Pure. */
import { mountFlags } from '../../storage/volumes/mount-flags.js'
import type { MountAttributes, Propagation } from '../operation.js'

export interface ParsedMountOptions {
  readonly attributes: MountAttributes
  /** Those of them that are about all that is mounted below, too, as they have an `r` in front. */
  readonly recursive: MountAttributes
  readonly propagation: Propagation | undefined
  /** `bind` or `rbind` was among them. */
  readonly bind: 'bind' | 'rbind' | undefined
  /** What is left is the file system's own, such as `mode=755`. */
  readonly data: readonly string[]
  /** `tmpcopyup`: the new tmpfs begins with what the image has there. */
  readonly copyUp: boolean
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const plainWords: Record<string, Mutable<MountAttributes>> = {
  ...mountFlags,
  atime: { accessTime: 'relatime' },
  norelatime: { accessTime: 'strictatime' },
  nostrictatime: { accessTime: 'relatime' },
  diratime: { noDirAccessTime: false },
  nodiratime: { noDirAccessTime: true },
  symfollow: { noSymFollow: false },
  nosymfollow: { noSymFollow: true },
}

/** With `r` in front, a word is about all that is mounted below, too. */
const recursiveWords: typeof plainWords = Object.fromEntries(
  Object.entries(plainWords).map(([word, attributes]) => [`r${word}`, attributes]),
)

/** What each word sets. A later word wins over an earlier one, as mount(8) has it. */
const words: typeof plainWords = { ...plainWords, ...recursiveWords }

const propagations: Record<string, Propagation> = {
  private: 'private',
  rprivate: 'private',
  slave: 'slave',
  rslave: 'slave',
  shared: 'shared',
  rshared: 'shared',
  unbindable: 'unbindable',
  runbindable: 'unbindable',
}

/** Words that say nothing to the kernel here: defaults, and hints for other programs. */
const ignored = new Set(['defaults', 'async', 'auto', 'noauto', 'user', 'nouser', 'loud', 'silent'])

/** All words that are no file system's own, sorted. */
export const mountWords: readonly string[] = [
  ...new Set([...Object.keys(words), ...Object.keys(propagations), ...ignored, 'bind', 'rbind', 'tmpcopyup']),
].sort()

export function parseMountOptions(options: readonly string[]): ParsedMountOptions {
  let attributes: MountAttributes = {}
  let recursive: MountAttributes = {}
  let propagation: Propagation | undefined
  let bind: 'bind' | 'rbind' | undefined
  let copyUp = false
  const data: string[] = []
  for (const option of options) {
    if (Object.hasOwn(recursiveWords, option)) recursive = { ...recursive, ...recursiveWords[option] }
    if (Object.hasOwn(words, option)) attributes = { ...attributes, ...words[option] }
    else if (Object.hasOwn(propagations, option)) propagation = propagations[option]
    else if (option === 'bind' || option === 'rbind') bind = option
    else if (option === 'tmpcopyup') copyUp = true
    else if (!ignored.has(option)) data.push(option)
  }
  return { attributes, recursive, propagation, bind, copyUp, data }
}
