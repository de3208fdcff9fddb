import { PodlingError } from '../../errors.js'
import type { ContainerContext } from '../context.js'

/** @param what for messages: `checkpoint container web` @throws PodlingError `CHECKPOINT_PROGRAM_NOT_FOUND` */
export function findCriu({ findProgram }: ContainerContext, what: string): string {
  const program = findProgram('criu')
  if (program !== undefined) return program
  throw new PodlingError(
    'CHECKPOINT_PROGRAM_NOT_FOUND',
    `${what}: it takes the program criu, which is not along PATH; install it (Debian: apt-get install criu)`,
  )
}
