/** Text of unit files as systemd.syntax(7) and systemd.service(5) read it, by way of Podman's generator. Pure. */

/** One line of a unit file. */
export interface Setting {
  readonly section: string
  readonly key: string
  /** As it stands in the file. */
  readonly value: string
}

/** What means itself wherever it stands: no blank, quote, backslash, `%` of a specifier, `$` of a variable. */
const plain = /^[\w@.,:/=+~!()[\]-]+$/

const escapes: Readonly<Record<string, string>> = {
  '\\': '\\\\',
  '"': '\\"',
  '\n': '\\n',
  '\t': '\\t',
  '\r': '\\r',
  // These two pass through the generator into ExecStart=, where systemd would replace what follows them.
  '%': '%%',
  $: '$$',
}

/** Is it safe as a value that is read raw, to the end of its line? */
export function isPlain(text: string): boolean {
  return plain.test(text)
}

/** One word of a value that is read as words. */
export function word(text: string): string {
  if (isPlain(text)) return text
  // eslint-disable-next-line no-control-regex -- these are what must not stand in a unit file
  const escaped = text.replace(/[\\"%$\u0000-\u001f\u007f]/g, (character) => {
    return escapes[character] ?? `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return `"${escaped}"`
}

/**
 * Words behind one another as arguments of a command. The generator drops those that are empty; a variable that is empty is
 * a word to systemd all the same.
 */
export function argumentsText(words: readonly string[]): string {
  return words.map((one) => (one === '' ? `\${${emptyVariable}}` : word(one))).join(' ')
}

/** Must be set in the service where {@link argumentsText} has an empty word. */
export const emptyVariable = 'PODLING_EMPTY'

/** The whole file: sections in the order in which they are first spoken of. Comments are text of Podling's own. */
export function unitText(comments: readonly string[], settings: readonly Setting[]): string {
  const sections = [...new Set(settings.map(({ section }) => section))]
  const blocks = sections.map((name) => {
    const lines = settings.filter(({ section }) => section === name).map(({ key, value }) => `${key}=${value}`)
    return [`[${name}]`, ...lines].join('\n')
  })
  const head = comments.map((line) => `# ${line.replace(/[\r\n]+/g, ' ')}`)
  return `${[head.join('\n'), ...blocks].filter((block) => block !== '').join('\n\n')}\n`
}
