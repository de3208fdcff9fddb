/** Credential helper programs: `docker-credential-<name> get`, the host on stdin, JSON on stdout. */
import { spawn } from 'node:child_process'
import { PodlingError } from '../errors.js'
import type { Credentials } from './registry-auth.js'
import { parseJson } from './json.js'

const longest = 30_000
const maxOutput = 64 * 1024

/**
 * Ask a helper for a registry's credentials.
 * @param timeout milliseconds until it is killed
 * @returns undefined when the helper has none
 * @throws {PodlingError} CREDENTIALS_INVALID when it can't be run, fails or answers nonsense
 */
export async function askCredentialHelper(
  name: string,
  server: string,
  signal?: AbortSignal,
  timeout = longest,
): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new PodlingError(
      'CREDENTIALS_INVALID',
      `credential helper ${JSON.stringify(name)}: is not the name of a program`,
    )
  }
  const program = `docker-credential-${name}`
  const what = `ask ${program} for the credentials of ${server}`
  const { code, output } = await run(program, server, what, timeout, signal)
  if (code !== 0) {
    // The protocol has no code for "none": all helpers print this sentence.
    if (/credentials not found/i.test(output)) return undefined
    throw new PodlingError(
      'CREDENTIALS_INVALID',
      `${what}: ${output.trim().slice(0, 300) || `exit code ${String(code)}`}`,
    )
  }
  const answer = parseJson(Buffer.from(output), what, 'CREDENTIALS_INVALID')
  const username = answer.get('Username').string()
  const secret = answer.get('Secret').string()
  return username === '<token>' ? { identityToken: secret } : { username, password: secret }
}

function run(
  program: string,
  input: string,
  what: string,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    // spawn's own `timeout` leaves its timer behind when there is no such program.
    const limit = AbortSignal.timeout(timeout)
    const child = spawn(program, ['get'], {
      stdio: ['pipe', 'pipe', 'ignore'],
      // One that is to end may not want to.
      killSignal: 'SIGKILL',
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    })
    let output = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      output += text
      if (output.length <= maxOutput) return
      child.kill('SIGKILL')
      // Programs that it has started end by this.
      child.stdout.destroy()
      reject(new PodlingError('CREDENTIALS_INVALID', `${what}: its answer is longer than 64 KiB`))
    })
    child.once('error', (cause: NodeJS.ErrnoException) => {
      const why = limit.aborted
        ? `no answer in ${String(timeout / 1000)} s`
        : cause.code === 'ENOENT'
          ? 'no such program on the PATH'
          : cause.message
      reject(new PodlingError(signal?.aborted ? 'ABORTED' : 'CREDENTIALS_INVALID', `${what}: ${why}`, { cause }))
    })
    child.once('close', (code) => {
      resolve({ code, output })
    })
    // A helper that exits without reading its input is judged by its answer, not by our broken pipe.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
  })
}
