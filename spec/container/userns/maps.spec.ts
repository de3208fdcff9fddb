import t from 'tap'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { accountLines } from '../../../lib/container/userns/account.js'
import { allot } from '../../../lib/container/userns/allot.js'
import {
  containerIdOf,
  hostIdOf,
  idsFromZero,
  mapFault,
  mappingText,
  rootIdMaps,
  type IdMapping,
} from '../../../lib/container/userns/id-maps.js'
import { countImageIds } from '../../../lib/container/userns/image-ids.js'
import { beyondFault, keptIdMap, nobodysIdMap } from '../../../lib/container/userns/rootless-maps.js'
import { temporaryDirectory } from '../../fixtures/directory.js'

const map = [
  { containerId: 0, hostId: 100000, size: 10 },
  { containerId: 1000, hostId: 5000, size: 1 },
]

t.test('ids of a container as the host has them', (t) => {
  t.strictSame(
    [0, 9, 10, 1000].map((id) => hostIdOf(map, id)),
    [100000, 100009, undefined, 5000],
  )
  t.equal(idsFromZero(map), 10)
  t.equal(idsFromZero([{ containerId: 1, hostId: 1, size: 1 }]), 0)
  t.end()
})

t.test('the host’s root is somebody in the map of a root, once', (t) => {
  t.equal(rootIdMaps({ uids: map, gids: map }).uid, '0 100000 10\n1000 5000 1\n4294967294 0 1\n')
  const own = [{ containerId: 0, hostId: 0, size: 5 }]
  t.equal(rootIdMaps({ uids: own, gids: map }).uid, '0 0 5\n')
  t.end()
})

t.test('what is wrong with a map', (t) => {
  const one = (containerId: number, hostId: number, size: number) => ({ containerId, hostId, size })
  t.equal(mapFault(map), undefined)
  t.match(mapFault([]), /at least one/)
  t.match(mapFault([one(1, 1, 1)]), /must map 0/)
  t.match(mapFault([one(0, 5, 10), one(9, 100, 1)]), /must not overlap, got 0:5:10 and 9:100:1/)
  t.match(mapFault([one(0, 5, 10), one(20, 14, 1)]), /must not overlap, got 0:5:10 and 20:14:1/)
  t.match(mapFault([one(0, 4294967290, 10)]), /must end before 4294967294/)
  const many = (count: number) => Array.from({ length: count }, (_, i) => one(i * 2, i * 2, 1))
  t.equal(mapFault(many(339)), undefined)
  t.match(mapFault(many(340)), /at most 339 entries/)
  t.end()
})

t.test('ids that are free: the lowest, in one piece where there is one', (t) => {
  const ranges = [
    { first: 100, count: 10 },
    { first: 1000, count: 100 },
  ]
  const give = (size: number, taken: { first: number; count: number }[] = [], given: typeof map = []) =>
    allot({ ranges, taken, size, given })?.map(({ containerId, hostId, size: count }) => [containerId, hostId, count])
  t.strictSame(give(10), [[0, 100, 10]])
  t.strictSame(give(10, [{ first: 100, count: 1 }]), [[0, 1000, 10]])
  t.strictSame(give(9, [{ first: 100, count: 1 }]), [[0, 101, 9]])
  t.strictSame(give(5, [{ first: 90, count: 12 }, { first: 107, count: 2 }]), [[0, 102, 5]])
  t.strictSame(give(105), [[0, 100, 10], [10, 1000, 95]], 'else in several')
  t.strictSame(give(110), [[0, 100, 10], [10, 1000, 100]])
  t.equal(give(111), undefined)
  t.equal(give(1, [{ first: 0, count: 5000 }]), undefined)
  t.strictSame(
    give(10, [], [{ containerId: 3, hostId: 7, size: 2 }]),
    [[0, 100, 3], [3, 7, 2], [5, 103, 5]],
    'what is given stands, and the rest goes round it',
  )
  t.strictSame(give(3, [], [{ containerId: 0, hostId: 100, size: 1 }]), [[0, 100, 1], [1, 101, 2]], 'nor is it given twice')
  t.end()
}) // prettier-ignore

t.test('no two of many containers meet, however they come and go', (t) => {
  const ranges = [
    { first: 100000, count: 700 },
    { first: 300000, count: 500 },
  ]
  let seed = 7
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
  let held: { first: number; count: number }[][] = []
  let given = 0
  for (let round = 0; round < 3000; round++) {
    if (held.length > 0 && random(2) === 0) held.splice(random(held.length), 1)
    const size = 1 + random(200)
    const got = allot({ ranges, taken: held.flat(), size, given: [] })
    if (got === undefined) {
      const free = 1200 - held.flat().reduce((sum, { count }) => sum + count, 0)
      if (free >= size) t.fail(`${String(free)} are free, and ${String(size)} were refused`)
      continue
    }
    given++
    held = [...held, got.map(({ hostId, size: count }) => ({ first: hostId, count }))]
    const all = held.flat().sort((a, b) => a.first - b.first)
    const meets = all.some((one, i) => i > 0 && all[i - 1]!.first + all[i - 1]!.count > one.first)
    const outside = all.some(
      ({ first, count }) => !ranges.some((range) => first >= range.first && first + count <= range.first + range.count),
    )
    if (meets || outside) t.fail(JSON.stringify(all))
  }
  t.ok(given > 1000)
  t.end()
})

t.test('how many ids an image needs', async (t) => {
  const directory = await temporaryDirectory(t)
  const layer = (name: string, files: Record<string, string>) => {
    mkdirSync(join(directory, name, 'etc'), { recursive: true })
    for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, name, 'etc', file), text)
    return join(directory, name)
  }
  const base = layer('base', { passwd: 'root:x:0:0::/:\napp:x:2000:3000::/:\n', group: 'big:x:5000:\nbad:x:y:\n' })
  const top = layer('top', { passwd: 'app:x:1500:1600::/:\nnobody:x:65534:65534::/:\nno:x:4294967294:1::/:\n' })
  t.equal(countImageIds([], ''), 1024)
  t.equal(countImageIds([base], ''), 5001)
  t.equal(countImageIds([top], ''), 65535)
  t.equal(countImageIds([layer('small', { passwd: 'a:x:1:1::/:' })], '7000:app'), 7001)
  t.equal(countImageIds([layer('hiding', {}), base], ''), 5001, 'a layer may have nothing to say')
  const link = layer('link', {})
  symlinkSync(join(base, 'etc', 'passwd'), join(link, 'etc', 'passwd'))
  t.equal(countImageIds([link], ''), 1024, 'a link is not followed')
})

t.test('keep-id and nomap, as Podman makes them of a user with 65536 ids beside his own', (t) => {
  const lines = (map: readonly IdMapping[]) => map.map(mappingText)
  t.strictSame(lines(keptIdMap(1000, 65_537)), ['0:1:1000', '1000:0:1', '1001:1001:64536'])
  t.strictSame(lines(keptIdMap(0, 65_537)), ['0:0:1', '1:1:65536'])
  t.strictSame(lines(keptIdMap(70_000, 65_537)), ['0:1:65536', '70000:0:1'], 'an id beyond them')
  t.strictSame(lines(keptIdMap(500, 65_537, 2000)), ['0:1:500', '500:0:1', '501:501:1500'])
  t.strictSame(lines(keptIdMap(500, 65_537, 100)), ['0:1:100', '500:0:1'])
  t.strictSame(lines(keptIdMap(1000, 2)), ['0:1:1', '1000:0:1'])
  t.strictSame(lines(nobodysIdMap(65_537)), ['0:1:65536'])
  for (const own of [0, 1, 500, 65_536, 65_537, 1_000_000]) t.equal(mapFault(keptIdMap(own, 65_537)), undefined)
  t.equal(beyondFault([{ containerId: 0, hostId: 1, size: 10 }], 11), undefined)
  t.match(beyondFault([{ containerId: 0, hostId: 1, size: 11 }], 11), /must lead to ids below 11: .*got 11$/)
  t.equal(containerIdOf(keptIdMap(1000, 65_537), 0), 1000)
  t.equal(containerIdOf(nobodysIdMap(65_537), 0), undefined)
  t.end()
})

t.test('an account, as Podman writes it', (t) => {
  const account = { name: 'me', fullName: 'Me', home: '/home/me', group: 'us' }
  const lines = (input: Partial<Parameters<typeof accountLines>[0]>) => {
    const { passwd, members } = accountLines({ kept: { uid: 1000, gid: 100 }, account, workdir: '/w', mounts: [], ...input })
    return passwd + members
  }
  t.equal(lines({}), 'me:*:1000:100:Me:/w:/bin/sh\nus:x:100:me\n')
  t.match(lines({ mounts: ['/home'] }), ':/home/me:', 'a home that is mounted, or what it is in')
  t.match(lines({ mounts: ['/home/me/x', '/'] }), ':/w:')
  t.equal(accountLines({ kept: { uid: 5, gid: 6 }, workdir: '/', mounts: [] }).passwd, '5:*:5:6:container user:/:/bin/sh\n')
  t.end()
}) // prettier-ignore
