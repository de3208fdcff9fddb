/** The `WWW-Authenticate` header (RFC 9110, section 11.6.1), as registries use it. Pure. */

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: Readonly<Record<string, string>>
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const parameterPattern = new RegExp(`\\s*(${token})\\s*=\\s*(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s,"]+))\\s*(?:,|$)`, 'y')
const schemePattern = new RegExp(`[\\s,]*(${token})(?:\\s+|$)`, 'y')

/** All challenges of a header, in order. What can't be read ends the list. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = []
  let position = 0
  while (position < header.length && header.length <= 16_384) {
    schemePattern.lastIndex = position
    const scheme = schemePattern.exec(header)
    if (!scheme) break
    position = schemePattern.lastIndex
    const parameters: [string, string][] = []
    for (;;) {
      parameterPattern.lastIndex = position
      const parameter = parameterPattern.exec(header)
      if (!parameter) break
      position = parameterPattern.lastIndex
      parameters.push([parameter[1]!.toLowerCase(), parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3]!])
    }
    challenges.push({ scheme: scheme[1]!.toLowerCase(), parameters: Object.fromEntries(parameters) })
  }
  return challenges
}
