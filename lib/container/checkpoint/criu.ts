import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PodlingError } from '../../errors.js'
import { CriuChannel } from './criu-channel.js'
import { reasonIn } from './criu-log.js'
import type { CriuOptions, CriuResponse, requestTypes } from './criu-messages.js'
import { standardPath } from '../../sys/standard-path.js'

/** CRIU calls programs by their names: tar for the contents of tmpfs, nft for connections. */
export const criuEnvironment = { PATH: standardPath } as const

/**
 * Have CRIU do one thing, in a process of its own.
 *
 * It is not ended with us: killed in the middle, it would leave the container with its own code injected. It finishes
 * what it does, whatever becomes of this process.
 * @param program the path of CRIU
 * @param what for messages: `checkpoint container web`
 * @param logFile where `opts` has it log
 * @param hold a descriptor that it inherits, of a lock that it is to hold for as long as it runs
 * @throws PodlingError `CHECKPOINT_FAILED` with CRIU's own reason
 */
export async function askCriu(
  program: string,
  type: keyof typeof requestTypes,
  opts: CriuOptions,
  { what, logFile, hold }: { readonly what: string; readonly logFile: string; readonly hold: number },
): Promise<CriuResponse> {
  const channel = CriuChannel.open()
  try {
    const child = spawn(program, ['swrk', '3'], {
      cwd: '/',
      env: criuEnvironment,
      stdio: ['ignore', 'ignore', 'ignore', channel.theirs, hold],
      detached: true,
    })
    const exited = once(child, 'exit').catch((cause: unknown) => {
      throw new PodlingError('CHECKPOINT_FAILED', `${what}: ${program} could not be executed`, { cause, path: program })
    })
    exited.catch(() => undefined)
    channel.given()
    channel.send(type, { opts })
    // Its end of the channel ends with it.
    const answer = await channel.receive()
    const [, signal] = (await exited) as [number | null, NodeJS.Signals | null]
    if (answer === undefined && signal !== null) {
      throw new PodlingError(
        'CHECKPOINT_FAILED',
        `${what}: ${program} was killed by ${signal} in the middle of its work; processes into which it had put its code may end`,
        { path: program },
      )
    }
    if (answer?.success === true) return answer
    throw await criuFailure(what, answer, logFile)
  } finally {
    channel.close()
  }
}

export async function criuFailure(
  what: string,
  answer: CriuResponse | undefined,
  logFile: string,
): Promise<PodlingError> {
  const reason = (await reasonIn(logFile)) ?? answer?.message ?? 'it gives no reason'
  return new PodlingError('CHECKPOINT_FAILED', `${what}: CRIU failed: ${reason}; all that it says is in ${logFile}`, {
    path: logFile,
  })
}
