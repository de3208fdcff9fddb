/** The exit record that a monitor leaves on disk. */
import { readFile } from 'node:fs/promises'
import { PodlingError } from '../errors.js'
import type { ExitRecord } from './protocol.js'

/**
 * Read the record of a container that has ended.
 * @returns undefined while there is none: the container runs, or its monitor was killed.
 * @throws PodlingError `STATE_INVALID` when the file is not what a monitor writes.
 */
export async function readExitFile(path: string): Promise<ExitRecord | undefined> {
  let text
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new PodlingError('SYSTEM_CALL_FAILED', `Read the exit record ${path}`, { cause: error, path })
  }
  try {
    const { signal, ...rest } = JSON.parse(text) as Omit<ExitRecord, 'signal'> & { signal: number | null }
    if (typeof rest.exitCode !== 'number') throw new TypeError('no exitCode')
    return signal === null ? rest : { ...rest, signal }
  } catch (error) {
    throw new PodlingError('STATE_INVALID', `The exit record ${path} is damaged`, { cause: error, path })
  }
}
