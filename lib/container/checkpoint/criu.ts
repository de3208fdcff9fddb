import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PodlingError } from '../../errors.js'
import { CriuChannel } from './criu-channel.js'
import { reasonIn } from './criu-log.js'
import type { CriuFeatures, CriuOptions, CriuResponse, requestTypes } from './criu-messages.js'
import { standardPath } from '../../sys/standard-path.js'

/** CRIU calls programs by their names: tar for the contents of tmpfs, nft for connections. */
export const criuEnvironment = { PATH: standardPath } as const

/** What goes with a request. */
export interface CriuRequest extends Readonly<Record<string, unknown>> {
  readonly opts?: CriuOptions
  readonly features?: CriuFeatures
}

export interface AskOptions {
  readonly what: string
  readonly logFile: string
  readonly hold?: number
  readonly failed?: (
    type: keyof typeof requestTypes,
    answer: CriuResponse | undefined,
    logFile: string,
  ) => Promise<Error>
}

/**
 * Have CRIU do one thing, in a process of its own.
 *
 * It is not ended with us: killed in the middle, it would leave the container with its own code injected. It finishes
 * what it does, whatever becomes of this process.
 * @param program the path of CRIU
 * @param what for messages: `checkpoint container web`
 * @param logFile where `opts` has it log
 * @param hold a descriptor that it inherits, of a lock that it is to hold for as long as it runs
 * @param failed the error for a failure of it. @default PodlingError `CHECKPOINT_FAILED` with CRIU's own reason
 * @throws PodlingError `CHECKPOINT_FAILED` when it can't be run, or is killed
 */
export async function askCriu(
  program: string,
  type: keyof typeof requestTypes,
  request: CriuRequest,
  { what, logFile, hold, failed }: AskOptions,
): Promise<CriuResponse> {
  const channel = CriuChannel.open()
  try {
    const child = spawn(program, ['swrk', '3'], {
      cwd: '/',
      env: criuEnvironment,
      stdio: ['ignore', 'ignore', 'ignore', channel.theirs, hold ?? 'ignore'],
      detached: true,
    })
    const exited = once(child, 'exit').catch((cause: unknown) => {
      throw new PodlingError('CHECKPOINT_FAILED', `${what}: ${program} could not be executed`, { cause, path: program })
    })
    exited.catch(() => undefined)
    channel.given()
    channel.send(type, request)
    // Its end of the channel ends with it.
    const answer = (await channel.receive())?.answer
    const [, signal] = (await exited) as [number | null, NodeJS.Signals | null]
    if (answer === undefined && signal !== null) {
      throw new PodlingError(
        'CHECKPOINT_FAILED',
        `${what}: ${program} was killed by ${signal} in the middle of its work; processes into which it had put its code may end`,
        { path: program },
      )
    }
    if (answer?.success === true) return answer
    throw await (failed?.(type, answer, logFile) ?? criuFailure(what, answer, logFile))
  } finally {
    channel.close()
  }
}

/** Why it failed, in its own words. */
export async function failureReason(answer: CriuResponse | undefined, logFile: string): Promise<string> {
  return (await reasonIn(logFile)) ?? answer?.message ?? 'it gives no reason'
}

async function criuFailure(what: string, answer: CriuResponse | undefined, logFile: string): Promise<PodlingError> {
  const reason = await failureReason(answer, logFile)
  return new PodlingError('CHECKPOINT_FAILED', `${what}: CRIU failed: ${reason}; all that it says is in ${logFile}`, {
    path: logFile,
  })
}
