/** Which options of a checkpoint hold for a restore. Pure. */
import type { GivenOptions } from '../record.js'
import { show } from '../../schema/faults.js'

/** Options that give a container no right and no place on the host: they hold wherever the checkpoint comes from. */
const harmless: ReadonlySet<string> = new Set([
  'command', 'entrypoint', 'env', 'workdir', 'user', 'hostname', 'labels', 'stopSignal', 'stopTimeout', 'init', 'tty',
  'stdin', 'readOnly', 'capDrop', 'tmpfs', 'memory', 'memoryReservation', 'cpus', 'pidsLimit', 'shmSize', 'storageOpt',
  'platform',
]) // prettier-ignore

function isHarmless(name: string, value: unknown): boolean {
  if (value === undefined || harmless.has(name)) return true
  if (name === 'noNewPrivileges') return value === true
  if (name === 'network') return value === 'none'
  return ['detach', 'privileged'].includes(name) && value === false
}

/**
 * The options of a restored container: those of the checkpoint, and over them those that are asked for now.
 * @param own whether this root made the checkpoint: then all of its options hold
 * @returns with what is missing: options that the checkpoint has and that nobody here vouches for
 */
export function restoreOptions(
  checkpoint: GivenOptions,
  asked: GivenOptions,
  own: boolean,
): { readonly options: GivenOptions; readonly missing: readonly string[] } {
  const { name: _, ...kept } = checkpoint
  const entries = Object.entries(kept) as [string, unknown][]
  const open = own ? [] : entries.filter(([name, value]) => !isHarmless(name, value) && !Object.hasOwn(asked, name))
  return {
    options: { ...kept, ...asked },
    missing: open.map(([name, value]) => `${name} (it had ${show(value)})`),
  }
}
