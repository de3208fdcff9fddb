import type { Command } from './commands.js'

/** Of all commands, or of one. */
export function helpText(commands: Readonly<Record<string, Command>>, name?: string): string {
  const all = name === undefined ? Object.values(commands) : [commands[name]!]
  const lines = all.map(({ usage }) => `   podling-oci [global options] ${usage}`)
  if (name !== undefined) return `USAGE:\n${lines.join('\n')}\n`
  return `NAME:
   podling-oci - an OCI runtime on Podling's launch path

USAGE:
${lines.join('\n')}

GLOBAL OPTIONS:
   --root DIR           where containers are kept (default: /run/podling-oci)
   --log FILE           where errors are told (default: standard error)
   --log-format FORMAT  text or json (default: text)
   --debug              tell more
   --help, --version
`
}
