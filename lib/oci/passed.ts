/** Descriptors that the caller passes through to the container's program: `--preserve-fds`, and those of systemd. */
import { fstatSync } from 'node:fs'
import type { Context } from './context.js'
import { OciError } from './oci-error.js'

/** @returns their numbers @throws OciError for one that is not open */
export function passedDescriptors({ line, listenFds }: Context): number[] {
  const asked = line.value('preserve-fds') ?? '0'
  if (!/^\d{1,4}$/.test(asked)) throw new OciError(`--preserve-fds: must be a number, got ${JSON.stringify(asked)}`)
  const count = Number(asked) + listenFds
  for (let fd = 3; fd < 3 + Number(asked); fd++) {
    try {
      fstatSync(fd)
    } catch {
      throw new OciError(`unable to stat preserved-fd ${String(fd - 2)} (of ${asked})`)
    }
  }
  return Array.from({ length: count }, (_, index) => 3 + index)
}

export function passedEnvironment(env: readonly string[] = [], { listenFds }: Pick<Context, 'listenFds'>): string[] {
  return [...env, `LISTEN_FDS=${String(listenFds)}`, 'LISTEN_PID=1']
}
