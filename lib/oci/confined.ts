/** Whether this command is run by the machine's root, who may all that a spec can ask for, or within a user namespace, as for an ordinary user's engine. */
import { readFileSync } from 'node:fs'
import { isConfined } from '../sys/kernel.js'

let known: boolean | undefined

export function isConfinedHere(): boolean {
  known ??= isConfined({
    euid: process.geteuid?.() ?? 0,
    status: readFileSync('/proc/self/status', 'utf8'),
    uidMap: readFileSync('/proc/self/uid_map', 'utf8'),
  })
  return known
}

/**
 * As runc has it: below /run, or in the runtime directory of an ordinary user, whose engine calls its runtime as the root of a
 * user namespace. It doesn't for somebody who is root by name there, too, as in a container that is root's.
 */
export function defaultRoot(environment: NodeJS.ProcessEnv): string {
  const own = environment['XDG_RUNTIME_DIR'] ?? ''
  if (own === '' || !isConfinedHere() || (process.geteuid?.() === 0 && environment['USER'] === 'root'))
    return '/run/podling-oci'
  return `${own}/podling-oci`
}
