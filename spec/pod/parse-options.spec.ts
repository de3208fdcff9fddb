import t from 'tap'
import type { PodOptions } from 'podling'
import { parsePodOptions } from '../../lib/pod/parse-options.js'

const anything = (value: unknown): PodOptions => value as PodOptions

t.test('what is left out is as podman pod create has it', async (t) => {
  t.match(parsePodOptions({}, 'bridge'), {
    share: ['net', 'ipc', 'uts'],
    exitPolicy: 'continue',
    detach: false,
    network: { kind: 'networks', networks: [{ name: 'podling' }] },
    resources: {},
  })
})

t.test('limits and names in one form', async (t) => {
  const options = {
    memory: '64m',
    cpus: 0.5,
    cpuset: '0',
    pidsLimit: 9,
    share: ['pid', 'net'],
    network: 'none',
  } as const
  const { resources, share, network } = parsePodOptions(options, 'bridge')
  t.strictSame(resources, {
    memory: { limit: 64 << 20, swap: 128 << 20 },
    cpu: { quota: 50_000, period: 100_000, cpus: '0' },
    pids: { limit: 9 },
  })
  t.strictSame(share, ['net', 'pid'])
  t.equal(network, 'none')
})

t.test('all mistakes at once', async (t) => {
  const given = anything({
    nam: 'x',
    memory: 'lots',
    share: ['net', 'user'],
    exitPolicy: 'go on',
    ports: [99999],
    sysctls: { 'kernel.panic': 1 },
  })
  const mistakes = [
    /nam: unknown option; did you mean name\?/,
    /memory: must be a number of bytes/,
    /share\[1\]: must be .*'user'/,
    /exitPolicy: must be/,
    /ports\[0\]\.container: must be 1\.\.65535/,
    /sysctls\["kernel.panic"\]: belongs to the whole host/,
  ]
  for (const message of mistakes) t.throws(() => parsePodOptions(given, 'bridge'), { code: 'INVALID_OPTION', message })
  t.throws(() => parsePodOptions(anything(7), 'bridge'), { message: 'pod options: must be an object, got 7' })
})

t.test('what belongs to a namespace that is not shared', async (t) => {
  t.throws(() => parsePodOptions({ share: ['ipc'], ports: [80], hostname: 'a' }, 'bridge'), {
    message: /ports: has no effect in a pod that doesn't share net\n +hostname: has no effect .* uts/,
  })
  t.throws(() => parsePodOptions({ network: 'pod' }, 'bridge'), { message: /network: must not be 'pod'/ })
  t.throws(() => parsePodOptions({ network: 'none', ports: [80] }, 'bridge'), { message: /ports: has no effect with/ })
  t.equal(parsePodOptions({ share: ['uts'] }, 'bridge').network, 'none')
})
