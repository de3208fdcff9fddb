/**
 * podling-oci: an OCI runtime by the command line of runc(8), for engines that call one. Each command is one file of this
 * folder; this one takes the words apart and says what went wrong.
 */
import { commands } from './commands.js'
import { defaultRoot } from './confined.js'
import { parseFlags, UsageError, type CommandLine } from './command-line.js'
import { Log } from './log.js'
import { print } from './print.js'
import { OciError } from './oci-error.js'
import { Store } from './store.js'
import { helpText } from './help.js'
import { packageVersion, versionText } from './version.js'

const globalFlags = {
  debug: 'switch',
  log: 'value',
  'log-format': 'value',
  root: 'value',
  criu: 'value',
  'systemd-cgroup': 'switch',
  'cgroup-manager': 'value',
  rootless: 'value',
  help: 'switch',
  version: 'switch',
} as const

async function main(words: readonly string[]): Promise<number> {
  let log = new Log()
  let status = 1
  try {
    const global = parseFlags(words, globalFlags, { short: { h: 'help', v: 'version' }, ofCommand: true })
    log = openLog(global)
    const [name, ...rest] = global.rest
    if (global.has('version')) return show(versionText())
    if (name === undefined || name === 'help' || global.has('help')) return show(helpText(commands))
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined) throw new UsageError(`No help topic for '${name}'`)
    const { flags, arguments: counts, ofCommand = false, short = {}, run } = command
    const line = parseFlags(rest, { ...flags, help: 'switch' }, { short: { h: 'help', ...short }, ofCommand })
    if (line.has('help')) return show(helpText(commands, name))
    checkCount(name, line, counts)
    log.debug(() => `podling-oci ${packageVersion()}: ${words.join(' ')}`)
    try {
      return await run({
        store: new Store(global.value('root') ?? defaultRoot(process.env)),
        log,
        systemdCgroup: asksSystemd(global),
        ...(global.value('criu') ? { criu: global.value('criu')! } : {}),
        path: process.env['PATH'] ?? '',
        line,
        listenFds: listenFds(),
      })
    } catch (error) {
      status = command.failure ?? 1
      throw command.prefix === undefined
        ? error
        : new OciError(`${command.prefix}: ${messageOf(error)}`, { cause: error })
    }
  } catch (error) {
    log.fatal(messageOf(error))
    return status
  }
}

function show(text: string): number {
  print(text)
  return 0
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** @throws UsageError */
function checkCount(name: string, { rest }: CommandLine, [least, most]: readonly [number, number]): void {
  if (rest.length >= least && rest.length <= most) return
  const wanted =
    least === most
      ? `exactly ${String(least)}`
      : rest.length < least
        ? `a minimum of ${String(least)}`
        : `a maximum of ${String(most)}`
  throw new UsageError(`podling-oci: "${name}" requires ${wanted} argument(s)`)
}

function openLog(line: CommandLine): Log {
  const format = line.value('log-format') ?? 'text'
  if (format !== 'text' && format !== 'json') throw new UsageError(`invalid log-format: ${format}`)
  return new Log({ file: line.value('log') || undefined, format, debug: line.has('debug') })
}

/** By runc's flag, or crun's. @throws UsageError */
function asksSystemd(line: CommandLine): boolean {
  const manager = line.value('cgroup-manager') ?? 'cgroupfs'
  if (manager !== 'cgroupfs' && manager !== 'systemd') throw new UsageError(`invalid cgroup-manager: ${manager}`)
  return line.has('systemd-cgroup') || manager === 'systemd'
}

/** Meant for this process, or it is none of our business. */
function listenFds(): number {
  if (process.env['LISTEN_PID'] !== String(process.pid) && process.env['LISTEN_PID'] !== undefined) return 0
  const count = Number(process.env['LISTEN_FDS'] ?? 0)
  return Number.isInteger(count) && count > 0 && count < 1000 ? count : 0
}

void main(process.argv.slice(2)).then((status) => {
  process.exitCode = status
})
