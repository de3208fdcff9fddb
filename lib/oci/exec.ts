import { closeSync, readFileSync } from 'node:fs'
import { seccompListener } from '../container/seccomp-listener.js'
import { compileExec } from '../launch/compile/exec.js'
import { parseSpec } from '../launch/validate-spec.js'
import type { SpecProcess } from '../launch/oci-spec.js'
import { checkConsole } from './console.js'
import type { Context } from './context.js'
import { Helper } from './detached.js'
import { execCgroup } from './exec-cgroup.js'
import { execProcess } from './exec-process.js'
import { linuxProcess } from './linux-process.js'
import { namespacesOf, openProcessDirectory } from './namespaces-of.js'
import { OciError } from './oci-error.js'
import { passedDescriptors, passedEnvironment } from './passed.js'
import { stdioOf } from './prepare.js'
import { processStat } from './process-of.js'
import type { Status } from './record.js'
import { passSignals } from './run.js'
import { currentStatus } from './state.js'
import { replaceFile } from './store.js'
import { requireLabelsOf } from './labels.js'

/** `exec ID COMMAND...`: a further process. @returns its exit status, or 0 where it is left alone */
export async function exec(context: Context, id: string, command: readonly string[]): Promise<number> {
  const { store, line, log } = context
  const record = store.read(id)
  checkStatus(currentStatus(store, record), line.has('ignore-paused'))
  const spec = store.readSpec(id)
  const file = line.value('process')
  const asked = file === undefined ? execProcess(spec.process, command, line) : readProcess(file)
  if ((asked.args ?? []).length === 0) throw new OciError('process args cannot be empty')
  const program = linuxProcess({ ...asked, env: passed(asked.env, context) }, (message) => {
    log.warn(message)
  })
  requireLabelsOf(program)
  const detaches = line.has('detach')
  const socket = checkConsole(line.value('console-socket'), program, detaches)
  const directory = openProcessDirectory(record)
  try {
    const plan = {
      ...compileExec(spec, program, stdioOf(program), 'at-once'),
      ...seccompListener({ id, spec }, record.bundle, record.pid),
      join: namespacesOf(spec),
      cgroup: { directories: [], writes: [], ...execCgroup(record, line.values('cgroup')) },
    }
    const helper = new Helper(plan, { console: socket, directory, passed: passedDescriptors(context) })
    return await follow(helper, detaches, line.value('pid-file'))
  } finally {
    closeSync(directory)
  }
}

async function follow(helper: Helper, detaches: boolean, pidFile: string | undefined): Promise<number> {
  let stop = (): void => undefined
  try {
    const { pid } = await helper.ready()
    // Before it runs, and before anybody is told of it: whoever knows of it may tell us what it is to hear.
    if (!detaches) stop = passSignals({ pid, startTime: processStat(pid)?.startTime ?? '' })
    if (pidFile !== undefined) replaceFile(pidFile, String(pid), 0o644)
    helper.goOn(!detaches)
    await helper.started()
  } catch (error) {
    stop()
    await helper.abandon()
    throw error
  }
  if (detaches) {
    await helper.end()
    return 0
  }
  const { exitCode } = await helper.exited()
  stop()
  await helper.end()
  return exitCode
}

/** @throws OciError */
function checkStatus(status: Status, ignoresPause: boolean): void {
  if (status === 'stopped' || status === 'creating') throw new OciError('cannot exec in a stopped container')
  if (status !== 'paused' || ignoresPause) return
  throw new OciError('cannot exec in a paused container (use --ignore-paused to override)')
}

/** @throws OciError, PodlingError `SPEC_INVALID` */
function readProcess(file: string): SpecProcess {
  const text = readFileSync(file, 'utf8')
  let process: unknown
  try {
    process = JSON.parse(text)
  } catch (error) {
    throw new OciError(`${file}: ${(error as Error).message}`, { cause: error })
  }
  // A spec of which nothing but its process could be wrong. Without a user it is root, as runc has it.
  const whole = { user: { uid: 0, gid: 0 }, ...(process as object | null) }
  const around = JSON.stringify({ ociVersion: '1.0.0', root: { path: '/' }, process: whole })
  return parseSpec(around, file).process!
}

function passed(env: readonly string[] | undefined, context: Context): readonly string[] {
  return context.listenFds === 0 ? (env ?? []) : passedEnvironment(env, context)
}
