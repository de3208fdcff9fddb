/**
 * The search paths that ELF files carry (DT_RPATH, DT_RUNPATH), with ld.so's words in them put in. Pure.
 */

/** What the words of a search path mean for one file. */
export interface SearchPathWords {
  /** `$ORIGIN`: the directory of the file that carries the path. */
  readonly origin: string
  /** `$LIB`: `lib64`, `lib/x86_64-linux-gnu` ...; undefined makes a path with it useless. */
  readonly lib: string | undefined
  /** `$PLATFORM`. */
  readonly platform: string | undefined
}

const WORD = /\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))/g

/**
 * The directories of a search path. Relative and empty ones, which mean the working directory of whoever starts the
 * program, are left out: an image can't honour them.
 */
export function searchPathDirectories(path: string | undefined, words: SearchPathWords): string[] {
  if (path === undefined) return []
  return path.split(/[:;]/).flatMap((directory) => {
    const expanded = expandWords(directory, words)
    return expanded?.startsWith('/') === true ? [expanded.replace(/(?<=.)\/+$/, '')] : []
  })
}

/** Put in `$ORIGIN`, `$LIB` and `$PLATFORM`; undefined when one of them has no value here. */
export function expandWords(text: string, words: SearchPathWords): string | undefined {
  const unknown: string[] = []
  const expanded = text.replace(WORD, (_, braced: string | undefined, bare: string | undefined) => {
    const name = braced ?? bare
    const value = name === 'ORIGIN' ? words.origin : name === 'LIB' ? words.lib : words.platform
    if (value === undefined || value === '') unknown.push(name ?? '')
    return value ?? ''
  })
  return unknown.length === 0 ? expanded : undefined
}
