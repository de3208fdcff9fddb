import t from 'tap'
import { parseOptions } from '../../../lib/container/parse-options.js'
import { parseUserNamespace } from '../../../lib/container/userns/parse-userns.js'
import { usernsText } from '../../../lib/container/userns/userns-text.js'
import type { Fault } from '../../../lib/schema/faults.js'
import type { ContainerOptions } from '../../../lib/container/options.js'
import { rejectsWith } from '../../fixtures/errors.js'

const parse = (options: Partial<ContainerOptions>) => parseOptions({ image: 'app', ...options }).userns
const range = { containerId: 0, hostId: 100000, size: 65536 }

t.test('as podman-run(1) writes it, and as objects', (t) => {
  const auto = { mode: 'auto', size: undefined, uidMapping: [], gidMapping: [] }
  t.equal(parse({}), undefined)
  t.equal(parse({ userns: 'host' }), undefined)
  t.equal(parse({ userns: { mode: 'host' } }), undefined)
  t.strictSame(parse({ userns: 'auto' }), auto)
  t.strictSame(parse({ userns: { mode: 'auto' } }), auto)
  const full = { ...auto, size: 8192, uidMapping: [{ containerId: 0, hostId: 1000, size: 1 }], gidMapping: [range] }
  t.strictSame(parse({ userns: 'auto:size=8192,uidmapping=0:1000:1,gidmapping=0:100000:65536' }), full)
  t.strictSame(parse({ userns: full as never }), full)
  t.strictSame(parse({ userns: 'keep-id:uid=5,gid=6' }), { mode: 'keep-id', uid: 5, gid: 6, size: undefined })
  t.strictSame(parse({ userns: { mode: 'keep-id', uid: 5 } }), {
    mode: 'keep-id',
    uid: 5,
    gid: undefined,
    size: undefined,
  })
  t.strictSame(parse({ userns: 'nomap' }), { mode: 'nomap' })
  t.strictSame(parse({ userns: 'container:other' }), { mode: 'container', container: 'other' })
  t.strictSame(parse({ userns: { mode: 'container', container: 'other' } }), { mode: 'container', container: 'other' })
  t.equal(usernsText({ mode: 'container', container: 'other' }), 'container:other')
  const maps = { mode: 'private', uids: [range], gids: [range] }
  t.strictSame(parse({ uidMap: ['0:100000:65536'] }), maps)
  t.strictSame(parse({ gidMap: [range] }), maps)
  t.strictSame(parse({ userns: 'private', uidMap: [range], gidMap: ['0:7'] }), {
    ...maps,
    gids: [{ containerId: 0, hostId: 7, size: 1 }],
  })
  t.end()
})

t.test('what is wrong is told with its path, before anything is made', async (t) => {
  const wrong: readonly [Partial<ContainerOptions>, string][] = [
    [{ userns: 'aut' }, "userns: must be one of 'host', 'auto', 'keep-id', 'nomap', 'private', 'container:NAME', got 'aut'"],
    [{ userns: 'auto:' }, "userns: auto takes size, uidmapping, gidmapping alone, got ''"],
    [{ userns: 'auto:size=x' }, "userns: size must be a number of ids or an id, got 'size=x'"],
    [{ userns: 'auto:size=0' }, "userns: size must be a number of ids or an id, got 'size=0'"],
    [{ userns: 'auto:uidmapping=1:2:3:4' }, "userns: must be container:host:size such as '0:100000:65536', got 'uidmapping=1:2:3:4'"],
    [{ userns: 'keep-id:uidmapping=0:1:1' }, "userns: keep-id takes uid, gid, size alone, got 'uidmapping=0:1:1'"],
    [{ userns: 'host:size=5' }, "userns: host takes nothing more, got 'size=5'"],
    [{ userns: { mode: 'private' } as never }, "userns.mode: must be one of 'host', 'auto', 'keep-id', 'nomap', 'container'; got 'private'"],
    [{ userns: { mode: 'keep-id', uidMapping: [] } as never }, 'userns.uidMapping: keep-id takes uid, gid, size alone'],
    [{ userns: 'private' }, "userns: 'private' needs uidMap or gidMap; 'auto' chooses ids by itself"],
    [{ userns: 'auto', uidMap: [range] }, "userns: must be 'private' or left out with uidMap and gidMap, got 'auto'"],
    [{ uidMap: [] }, 'uidMap: must have at least one entry'],
    [{ uidMap: ['0:1:0'] }, "uidMap[0]: must be container:host:size such as '0:100000:65536', got '0:1:0'"],
    [{ gidMap: [range, '5:9:1'] }, 'gidMap: must not overlap, got 0:100000:65536 and 5:9:1'],
    [{ uidMap: ['1:100000:5'] }, 'uidMap: must map 0, who makes the container'],
    [{ uidMap: Array.from({ length: 341 }, (_, i) => `${String(2 * i)}:${String(2 * i)}`) }, 'uidMap: must have at most 339 entries (user_namespaces(7)), got 341'],
    [{ uidMap: [{ containerId: -1, hostId: 0, size: 1 }] }, 'uidMap[0].containerId: must be 0..4294967294, got -1'],
  ] // prettier-ignore
  for (const [options, message] of wrong) {
    const error = await rejectsWith(t, () => parse(options), 'INVALID_OPTION')
    t.ok(error?.message.includes(message), `${message}; got ${String(error?.message)}`)
  }
})

t.test("in a pod it is the pod's", (t) => {
  const faultsIn = (options: Parameters<typeof parseUserNamespace>[0], userns?: 'auto') => {
    const faults: Fault[] = []
    parseUserNamespace(options, faults, { name: 'shop', ...(userns === undefined ? {} : { userns }) })
    return faults
  }
  const plain = "must be left out: all containers of pod shop are in the host's user namespace; give it to pods.create"
  const shared = "must be left out: all containers of pod shop share its user namespace, 'auto'"
  t.strictSame(faultsIn({}), [])
  t.strictSame(faultsIn({ userns: 'host' }), [])
  t.strictSame(faultsIn({ userns: 'auto' }), [{ path: 'userns', message: plain }])
  t.strictSame(faultsIn({}, 'auto'), [])
  t.strictSame(faultsIn({ userns: 'host' }, 'auto'), [{ path: 'userns', message: shared }])
  t.strictSame(faultsIn({ gidMap: [range] }, 'auto'), [{ path: 'gidMap', message: shared }])
  t.end()
})

t.test('an object as Podman writes it', (t) => {
  t.equal(usernsText({ mode: 'nomap' }), 'nomap')
  t.equal(usernsText({ mode: 'keep-id', uid: 5, gid: 6 }), 'keep-id:uid=5,gid=6')
  t.equal(usernsText({ mode: 'auto', size: 7, uidMapping: [range, range] }), 'auto:size=7,uidmapping=0:100000:65536,uidmapping=0:100000:65536')
  t.end()
}) // prettier-ignore
