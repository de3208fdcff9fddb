/** The words of a command line, as runc's parser takes them: `--name value`, `--name=value`, one dash or two. Pure. */

/** What stands behind a flag: nothing, one value (the last counts), or values that add up. */
export type FlagKind = 'switch' | 'value' | 'values'

export type FlagKinds = Readonly<Record<string, FlagKind>>

export interface CommandLine {
  readonly rest: readonly string[]
  /** Is this switch on? */
  has(name: string): boolean
  /** The value of a flag, where it was given. */
  value(name: string): string | undefined
  values(name: string): readonly string[]
}

/** Wrong words, which the caller is to be told. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The short names that runc has. */
export type ShortNames = Readonly<Record<string, string>>

export interface ParseOptions {
  readonly short?: ShortNames
  /** All from the first word on that is no flag is somebody else's. @default false */
  readonly ofCommand?: boolean
}

/** @throws UsageError for flags that there are not, and for those without their value */
export function parseFlags(
  words: readonly string[],
  kinds: FlagKinds,
  { short = {}, ofCommand = false }: ParseOptions = {},
): CommandLine {
  const given = new Map<string, string[]>()
  const rest: string[] = []
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!
    if (word === '--' || (ofCommand && !isFlag(word))) {
      rest.push(...words.slice(word === '--' ? index + 1 : index))
      break
    }
    if (!isFlag(word)) {
      rest.push(word)
      continue
    }
    const [, dashless = '', assigned] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? []
    const name = short[dashless] ?? dashless
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
    if (kind === undefined) throw new UsageError(`flag provided but not defined: -${dashless}`)
    const value = assigned ?? (kind === 'switch' ? 'true' : words[++index])
    if (value === undefined) throw new UsageError(`flag needs an argument: -${dashless}`)
    if (kind === 'switch' && !isTruth(value)) {
      throw new UsageError(`invalid boolean value ${JSON.stringify(value)} for -${dashless}`)
    }
    given.set(name, kind === 'values' ? [...(given.get(name) ?? []), value] : [value])
  }
  return {
    rest,
    has: (name) => ['true', '1', 't', 'T', 'TRUE', 'True'].includes(given.get(name)?.[0] ?? ''),
    value: (name) => given.get(name)?.[0],
    values: (name) => given.get(name) ?? [],
  }
}

function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith('-')
}

function isTruth(value: string): boolean {
  return /^(true|false|True|False|TRUE|FALSE|[01tTfF])$/.test(value)
}
