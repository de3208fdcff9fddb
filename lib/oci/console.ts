/** Where the terminal of a process goes. Pure. */
import type { SpecProcess } from '../launch/oci-spec.js'
import { OciError } from './oci-error.js'

/** @throws OciError when nobody would have it, or somebody waits for one that there is not */
export function checkConsole(
  socket: string | undefined,
  process: Pick<SpecProcess, 'terminal'> | undefined,
  detaches: boolean,
): string | undefined {
  const terminal = process?.terminal === true
  if (terminal && detaches && socket === undefined) {
    throw new OciError('cannot allocate tty if runc will detach without setting console socket')
  }
  if ((!terminal || !detaches) && socket !== undefined) {
    throw new OciError('cannot use console socket if runc will not detach or allocate tty')
  }
  return socket
}
