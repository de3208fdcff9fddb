/** The words behind the last ':' of a volume or tmpfs, `ro,nodev`, and what is wrong with them. Pure. */
import { show } from '../schema/faults.js'
import { nearestName } from '../schema/nearest-name.js'

/** Tells of a mistake; returns undefined, since there is no mount then. */
export type Report = (message: string) => undefined

/** Groups of words, of each of which at most one may be given. */
export type WordGroups = readonly (readonly string[])[]

export function splitWords(words: string | undefined): string[] {
  return words === undefined ? [] : words.split(',').filter((word) => word !== '')
}

/** @param later words that this version doesn't know yet */
export function checkWords(
  words: readonly string[],
  groups: WordGroups,
  report: Report,
  later: readonly string[] = [],
): boolean {
  let right = true
  const wrong = (message: string): void => {
    report(message)
    right = false
  }
  for (const word of words) {
    const key = word.replace(/=.*/, '')
    if (groups.some((group) => group.includes(word))) continue
    const near = nearestName(word, groups.flat())
    if (later.includes(key)) wrong(`option ${show(word)} is not supported by this version`)
    else wrong(`unknown mount option ${show(word)}${near === undefined ? '' : `; did you mean ${near}?`}`)
  }
  for (const group of groups) {
    const chosen = words.filter((word) => group.includes(word))
    if (chosen.length > 1) wrong(`options ${chosen.join(' and ')} contradict each other`)
  }
  return right
}

/** The first of a group that is among the words. */
export function has(words: readonly string[], group: readonly string[]): boolean {
  return words.some((word) => group.includes(word))
}
