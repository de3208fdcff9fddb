import { PodlingError } from '../../errors.js'
import type { ContainerContext } from '../context.js'

/** @param what for messages: `checkpoint container web` @throws PodlingError `CHECKPOINT_PROGRAM_NOT_FOUND`, `CHECKPOINT_FAILED` */
export function findCriu({ findProgram, host }: ContainerContext, what: string): string {
  if (host.confinement !== undefined) {
    throw new PodlingError(
      'CHECKPOINT_FAILED',
      `${what}: CRIU needs root of the machine, and containers are in a user namespace here; run as root`,
    )
  }
  return requireCriu(findProgram('criu'), what)
}

/** @throws PodlingError `CHECKPOINT_PROGRAM_NOT_FOUND` */
export function requireCriu(program: string | undefined, what: string): string {
  if (program !== undefined) return program
  throw new PodlingError(
    'CHECKPOINT_PROGRAM_NOT_FOUND',
    `${what}: it takes the program criu, which is not along PATH; install it (Debian: apt-get install criu)`,
  )
}
