/** What a machine may lack for an ordinary user, or forbid: told with the remedy. */
import t from 'tap'
import { inPlaceOf, subIds } from '../fixtures/machine-files.js'
import { makeUser, runAs, type OrdinaryUser } from '../fixtures/ordinary-user.js'
import { needs } from '../peers.js'

const needed = needs('root', 'busybox', 'uidmap')

interface Refusal {
  readonly name: string
  readonly code: string
  readonly words: string
  readonly prepare?: (user: OrdinaryUser) => string
  readonly by?: string
}

const withoutRights = inPlaceOf('/usr/bin/newuidmap', 'cp /usr/bin/newuidmap "$t"\nchmod 755 "$t"')

const refusals: Refusal[] = [
  {
    name: 'newuidmap without its setuid bit',
    code: 'PERMISSION_DENIED',
    words:
      'by /usr/bin/newuidmap: .*: it has neither its setuid bit nor file capabilities; as root: chmod u.s /usr/bin/newuidmap',
    prepare: () => withoutRights,
  },
  {
    name: 'newuidmap by a process that gains no privileges',
    code: 'PERMISSION_DENIED',
    words: 'by /usr/bin/newuidmap: .*: its setuid bit has no effect, as this process has no_new_privs',
    by: 'setpriv --no-new-privs',
  },
  {
    name: 'a malformed line',
    code: 'SUBIDS_INVALID',
    words: '/etc/subuid:\\d+: .*must be name:first:count',
    prepare: subIds(({ name }) => `${name}:100000\\n`),
  },
  {
    name: 'a range that holds another user’s',
    code: 'SUBIDS_INVALID',
    words: 'overlaps with .* of another user; give it ids of its own',
    prepare: subIds(({ name }) => `other:3000000:10\\n${name}:2999999:65536\\n`),
  },
  {
    name: 'ranges that overlap',
    code: 'SUBIDS_INVALID',
    words: 'overlaps with',
    prepare: subIds(({ name }) => `${name}:3000000:65536\\n${name}:3065535:10\\n`),
  },
  {
    name: 'user.max_user_namespaces of 0',
    code: 'PERMISSION_DENIED',
    words: 'user.max_user_namespaces is 0; as root: sysctl -w user.max_user_namespaces=15000',
    // Each user namespace has the sysctl for itself; root of one is nobody without capabilities.
    by: `unshare --map-root-user sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"' sh`,
  },
  {
    name: 'fewer user namespaces than there are to be',
    code: 'LIMIT_REACHED',
    words: 'make a user namespace for containers: ENOSPC: there are as many as user.max_user_namespaces',
    // The one is made when somebody reads in it, and ends with the program that has the other end of the FIFO.
    by: `unshare --map-root-user sh -c '
      echo 1 > /proc/sys/user/max_user_namespaces && mkfifo "$HOME/held"
      unshare --user sh -c "read _ <$HOME/held" &
      exec 9>"$HOME/held"
      exec setpriv --bounding-set=-all "$@"' sh`,
  },
]

for (const { name, code, words, prepare, by = '' } of refusals) {
  t.test(name, needed, async (t) => {
    const user = makeUser(t)
    await runAs(t, user, 'refused', { environment: { CODE: code, WORDS: words }, prepare: prepare?.(user) ?? '', by })
  })
}
