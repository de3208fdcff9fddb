/** One run of one plugin (CNI specification, section 2). */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { PodlingErrorDetails } from '../../errors.js'
import { CniError, type CniCommand, type CniFailure } from './cni-error.js'
import type { CniLock } from './lock.js'
import { Collector, FileOutput, outputLimit, PipeOutput, type PluginOutput } from './output.js'
import { excerpt, parseErrorResult } from './result.js'
import { standardPath } from '../../sys/standard-path.js'

/** Where plugins are found and how long they may take. */
export interface CniHost {
  /** Directories of plugins' programs, the first that has one counts. @default {@link defaultPluginDirectories} */
  readonly pluginDirectories?: readonly string[]
  /** Milliseconds for one run of one plugin; then it is killed. @default 60000 */
  readonly timeout?: number
}

/** Where other runtimes and distributions have them; `/usr/lib/cni` is Debian's. */
export const defaultPluginDirectories = ['/opt/cni/bin', '/usr/local/libexec/cni', '/usr/libexec/cni', '/usr/lib/cni']

const defaultTimeout = 60_000
const stderrKept = 4096
/** What a plugin leaves running may hold its streams open; this long they are read on after its end. */
const lingering = 200

export interface PluginRun {
  readonly plugin: string
  readonly command: CniCommand
  readonly config: Readonly<Record<string, unknown>>
  /** CNI_CONTAINERID and the like. */
  readonly env: Readonly<Record<string, string>>
  /** For messages: `add container web to network mynet`. */
  readonly what: string
  /** Inherited by the plugin; absent where it works on no container. */
  readonly lock?: CniLock
}

/**
 * @returns what it printed
 * @throws CniError `CNI_PLUGIN_NOT_FOUND`, `CNI_PLUGIN_FAILED`, `CNI_PLUGIN_TIMEOUT`, `CNI_RESULT_INVALID`
 */
export async function runPlugin(host: CniHost, run: PluginRun): Promise<string> {
  const program = await findPlugin(host, run)
  const stdout = run.lock === undefined ? new PipeOutput() : new FileOutput(run.lock.outputPath)
  try {
    return await runWith(stdout, program, host, run)
  } finally {
    stdout.close()
  }
}

async function runWith(stdout: PluginOutput, program: string, host: CniHost, run: PluginRun): Promise<string> {
  const child = begin(program, host, run, stdout.stdio)
  const failure = { plugin: run.plugin, command: run.command }
  stdout.follow(child, () => {
    killGroup(child)
  })
  const stderr = new Collector()
  stderr.follow(child.stderr)
  // It may end without having read what it is told; then its exit status says more than our EPIPE.
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(JSON.stringify(run.config))
  const limit = host.timeout ?? defaultTimeout
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    deadline.abort()
    killGroup(child)
  }, limit)
  try {
    const [code, signal] = await ended(child).catch((cause: unknown) => {
      throw notExecuted(run, cause)
    })
    const told = { ...failure, ...tailOf(stderr.text) }
    if (deadline.signal.aborted) {
      throw error('CNI_PLUGIN_TIMEOUT', run, `it was killed after ${String(limit)} ms`, told)
    }
    if (stdout.full) throw error('CNI_RESULT_INVALID', run, `it printed more than ${String(outputLimit)} bytes`, told)
    if (code === 0) return stdout.text
    throw failed(run, stdout.text, code, signal, told)
  } finally {
    clearTimeout(timer)
  }
}

function begin(program: string, host: CniHost, run: PluginRun, stdout: 'pipe' | number): ChildProcess {
  try {
    // A process group of its own: a plugin has others do a part of its work, which must not outlive it.
    const child = spawn(program, [], {
      cwd: '/',
      // Plugins call programs by their names, such as iptables.
      env: { PATH: standardPath, ...run.env, CNI_COMMAND: run.command, CNI_PATH: directoriesOf(host).join(':') },
      stdio: ['pipe', stdout, 'pipe', ...(run.lock === undefined ? [] : [run.lock.fd])],
      detached: true,
    })
    if (child.pid !== undefined) run.lock?.ranBy(child.pid)
    return child
  } catch (cause) {
    throw notExecuted(run, cause)
  }
}

/** Such as a file that is no program. Some errors come at once, some as an event. */
function notExecuted(run: PluginRun, cause: unknown): CniError {
  const { code = String(cause) } = cause as NodeJS.ErrnoException
  return error('CNI_PLUGIN_FAILED', run, `it could not be executed: ${code}`, run, { cause })
}

function failed(
  run: PluginRun,
  output: string,
  code: number | null,
  signal: NodeJS.Signals | null,
  told: CniFailure,
): CniError {
  const parsed = parseErrorResult(output)
  if (parsed === undefined) {
    const how = signal === null ? `it ended with status ${String(code)}` : `it was ended by ${signal}`
    return error('CNI_PLUGIN_FAILED', run, `${how} and printed ${excerpt(output)}`, told)
  }
  const { code: pluginCode, msg, details } = parsed
  const more = details === undefined ? '' : ` (${details})`
  return error('CNI_PLUGIN_FAILED', run, `${msg}${more}, code ${String(pluginCode)}`, {
    ...told,
    pluginCode,
    pluginMessage: msg,
    ...(details === undefined ? {} : { pluginDetails: details }),
  })
}

function error(
  code: 'CNI_PLUGIN_FAILED' | 'CNI_PLUGIN_TIMEOUT' | 'CNI_RESULT_INVALID',
  { what, plugin, command }: PluginRun,
  why: string,
  failure: CniFailure,
  details: PodlingErrorDetails = {},
): CniError {
  const said = failure.stderr === undefined ? '' : `; on stderr: ${excerpt(failure.stderr)}`
  return new CniError(code, `${what}: CNI plugin ${plugin} (${command}): ${why}${said}`, failure, details)
}

function tailOf(stderr: string): { stderr?: string } {
  const text = stderr.trim()
  return text === '' ? {} : { stderr: text.slice(-stderrKept) }
}

/** @throws CniError `CNI_PLUGIN_NOT_FOUND` */
export async function findPlugin(
  host: CniHost,
  { plugin, command, what }: Pick<PluginRun, 'plugin' | 'command' | 'what'>,
): Promise<string> {
  const directories = directoriesOf(host)
  for (const directory of directories) {
    const path = join(directory, plugin)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // The next directory may have it.
    }
  }
  throw new CniError(
    'CNI_PLUGIN_NOT_FOUND',
    `${what}: there is no CNI plugin ${plugin} in ${directories.join(', ')}; Debian's package containernetworking-plugins has the usual ones`,
    { plugin, command },
  )
}

function directoriesOf({ pluginDirectories = defaultPluginDirectories }: CniHost): readonly string[] {
  return pluginDirectories
}

/** How a process ended, once its streams have been read. */
async function ended(child: ChildProcess): Promise<readonly [code: number | null, signal: NodeJS.Signals | null]> {
  const closed = once(child, 'close')
  closed.catch(() => undefined)
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  let timer: NodeJS.Timeout | undefined
  const longEnough = new Promise((resolve) => {
    timer = setTimeout(resolve, lingering)
  })
  await Promise.race([closed, longEnough])
  clearTimeout(timer)
  child.stdout?.destroy()
  child.stderr?.destroy()
  return [code, signal]
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}
