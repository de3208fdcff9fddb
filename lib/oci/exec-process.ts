/** The process of an exec: the container's own, but for what the command line says. Pure. */
import type { SpecCapabilities, SpecProcess, SpecUser } from '../launch/oci-spec.js'
import type { CommandLine } from './command-line.js'
import { OciError } from './oci-error.js'

/** @throws OciError */
export function execProcess(own: SpecProcess | undefined, command: readonly string[], line: CommandLine): SpecProcess {
  if (own === undefined) throw new OciError('process property must not be empty')
  const label = line.value('process-label')
  const apparmor = line.value('apparmor')
  return {
    ...own,
    args: [...command],
    cwd: line.value('cwd') || own.cwd,
    env: [...(own.env ?? []), ...line.values('env')],
    terminal: line.has('tty'),
    user: userOf(own.user, line),
    ...(line.value('no-new-privs') === undefined ? {} : { noNewPrivileges: line.has('no-new-privs') }),
    ...(label ? { selinuxLabel: label } : {}),
    ...(apparmor ? { apparmorProfile: apparmor } : {}),
    ...capabilitiesOf(own.capabilities, line.values('cap')),
  }
}

/** runc gives what is added to all sets but the inheritable one. */
function capabilitiesOf(
  own: SpecCapabilities | undefined,
  added: readonly string[],
): { capabilities?: SpecCapabilities } {
  if (added.length === 0) return own === undefined ? {} : { capabilities: own }
  const more = (set: readonly string[] = []): string[] => [...new Set([...set, ...added])]
  return {
    capabilities: {
      ...own,
      bounding: more(own?.bounding),
      effective: more(own?.effective),
      permitted: more(own?.permitted),
      ambient: more(own?.ambient),
    },
  }
}

function userOf(own: SpecUser, line: CommandLine): SpecUser {
  const [uid, gid] = (line.value('user') ?? '').split(/:(.*)/s)
  const added = line.values('additional-gids').flatMap((text) => text.split(','))
  return {
    ...own,
    ...(uid === undefined || uid === '' ? {} : { uid: idOf(uid, 'uid') }),
    ...(gid === undefined ? {} : { gid: idOf(gid, 'gid') }),
    additionalGids: [...(own.additionalGids ?? []), ...added.map((text) => idOf(text, 'gid'))],
  }
}

function idOf(text: string, what: 'uid' | 'gid'): number {
  const id = Number(text)
  if (!/^\d+$/.test(text) || id > 0xfffffffe) throw new OciError(`parsing ${text} as int for ${what} failed`)
  return id
}
