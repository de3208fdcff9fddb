/** How plugins may behave, each a shell script. */
import t, { type Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Cni } from '../../../lib/network/cni/attach.js'
import { CniError } from '../../../lib/network/cni/cni-error.js'
import { parseCniConfig } from '../../../lib/network/cni/config.js'
import { temporaryDirectory } from '../../fixtures/directory.js'
import { rejectsWith } from '../../fixtures/errors.js'

const netns = '/proc/self/ns/net'
const id = 'c'.repeat(64)

/** Plugins that note each call, and what they read, in `log`. */
async function plugins(t: Test, scripts: Readonly<Record<string, string>>, timeout = 20_000) {
  const directory = await temporaryDirectory(t)
  const log = join(directory, 'log')
  for (const [name, script] of Object.entries(scripts)) {
    const text = `#!/bin/sh\nread -r config\necho "$CNI_COMMAND ${name} $CNI_CONTAINERID $CNI_IFNAME [$CNI_NETNS] $config" >> ${log}\n${script}\n`
    await writeFile(join(directory, name), text, { mode: 0o755 })
  }
  const cacheDirectory = join(directory, 'cache')
  const cni = new Cni({ cacheDirectory, pluginDirectories: [directory], timeout })
  t.teardown(() => cni.close())
  return {
    cni,
    calls: async () => {
      const text = await readFile(log, 'utf8').catch(() => '')
      return text.split('\n').filter((line) => line !== '')
    },
    cached: () => readdir(cacheDirectory).catch(() => []),
    log,
  }
}

const words = (calls: readonly string[]) => calls.map((line) => line.split(' ').slice(0, 2).join(' '))

const good = 'echo \'{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/24"}]}\''
const more = 'echo \'{"cniVersion":"1.1.0","ips":[{"address":"10.1.0.2/24"}],"dns":{"nameservers":["10.1.0.1"]}}\''

function network(...types: string[]) {
  return parseCniConfig({ cniVersion: '1.1.0', plugins: types.map((type) => ({ type })) }, 'net')
}

t.test('a chain: results are passed on, and DEL goes backwards', async (t) => {
  const { cni, calls, cached } = await plugins(t, { first: good, second: more })
  const result = await cni.attach(network('first', 'second'), { containerId: id, netns })
  t.match(result, { ips: [{ address: '10.1.0.2/24' }], dns: { nameservers: ['10.1.0.1'] } })
  const [add1, add2] = await calls()
  t.match(add1, new RegExp(`^ADD first ${id} eth0 \\[${netns}\\]`))
  t.notMatch(add1, /prevResult/)
  t.match(add2, /"prevResult":\{"cniVersion":"1.1.0","ips":\[\{"address":"10.1.0.2\/24"\}\]\}/)
  t.equal((await cached()).length, 1)
  await cni.check(id, 'net', { netns })
  await cni.detach(id)
  t.same(words(await calls()), ['ADD first', 'ADD second', 'CHECK first', 'CHECK second', 'DEL second', 'DEL first'])
  const deletions = (await calls()).slice(4)
  for (const line of deletions)
    t.match(line, /\[\/proc\/\d+\/fd\/\d+\] .*"prevResult":\{.*"nameservers"/, 'the last result')
  t.same(await cached(), [])
  await cni.detach(id)
  t.equal((await calls()).length, 6, 'there is nothing to remove twice')
  await rejectsWith(t, () => cni.check(id, 'net', { netns }), 'INVALID_STATE')
})

t.test('an error of a plugin, after DEL of what was added', async (t) => {
  const { cni, calls, cached } = await plugins(t, {
    first: good,
    bad: `test $CNI_COMMAND = DEL && exit 0; echo oops >&2; echo '{"code":104,"msg":"no room","details":"subnet is full"}'; exit 1`,
    third: good,
  })
  const error = await rejectsWith(
    t,
    () => cni.attach(network('first', 'bad', 'third'), { containerId: id, containerName: 'web', netns }),
    'CNI_PLUGIN_FAILED',
    /^add container web to network net: CNI plugin bad \(ADD\): no room \(subnet is full\), code 104; on stderr: "oops"$/,
  )
  t.ok(error instanceof CniError)
  t.match(error, {
    plugin: 'bad',
    command: 'ADD',
    pluginCode: 104,
    pluginMessage: 'no room',
    pluginDetails: 'subnet is full',
    stderr: 'oops',
  })
  t.same(words(await calls()), ['ADD first', 'ADD bad', 'DEL third', 'DEL bad', 'DEL first'])
  t.same(await cached(), [])
})

t.test('a DEL that fails does not stop the others, and is tried again', async (t) => {
  const { cni, calls, cached, log } = await plugins(t, {
    first: good,
    second: good,
    third: `test $CNI_COMMAND = DEL && ! grep -q fixed $0.state 2> /dev/null && exit 3; ${good}`,
  })
  await cni.attach(network('first', 'second', 'third'), { containerId: id, netns })
  await rejectsWith(t, () => cni.detach(id), 'CNI_PLUGIN_FAILED', /third \(DEL\): it ended with status 3/)
  t.same(words(await calls()).slice(3), ['DEL third', 'DEL second', 'DEL first'])
  t.equal((await cached()).length, 1, 'kept for the next try')
  await writeFile(join(log, '..', 'third.state'), 'fixed')
  await cni.detach(id)
  t.same(await cached(), [])
})

t.test('both failures come out when undoing fails too', async (t) => {
  const { cni, cached } = await plugins(t, { bad: 'exit 7' })
  const error = await rejectsWith(
    t,
    () => cni.attach(network('bad'), { containerId: id, netns }),
    'CNI_PLUGIN_FAILED',
    /\(ADD\).*status 7.*and undoing it: .*\(DEL\)/,
  )
  t.equal((error?.cause as AggregateError).errors.length, 2)
  t.equal((await cached()).length, 1, 'it gave no answer, so there may be something left')
})

t.test('a plugin that misses what it never made', async (t) => {
  const { cni, cached } = await plugins(t, { picky: `echo '{"code":999,"msg":"not there"}'; exit 1` })
  const error = await rejectsWith(
    t,
    () => cni.attach(network('picky'), { containerId: id, netns }),
    'CNI_PLUGIN_FAILED',
    /\(ADD\): not there.*and undoing it.*\(DEL\): not there/,
  )
  t.match(error, { plugin: 'picky', command: 'ADD', pluginCode: 999 })
  t.same(await cached(), [], 'nothing that would be tried forever')
})

t.test('plugins that are missing, crash, hang, print rubbish or too much', async (t) => {
  const undone = 'test $CNI_COMMAND = DEL && exit 0; '
  const { cni, cached } = await plugins(
    t,
    {
      crash: `${undone} kill -SEGV $$`,
      hang: `${undone} sleep 1000 & sleep 1000`,
      rubbish: `${undone} echo hello`,
      empty: `${undone} true`,
      flood: `${undone} yes`,
    },
    300,
  )
  const fails = (type: string, code: Parameters<typeof rejectsWith>[2], message: RegExp) =>
    rejectsWith(t, () => cni.attach(network(type), { containerId: id, netns }), code, message)
  await fails('missing', 'CNI_PLUGIN_NOT_FOUND', /no CNI plugin missing in .*containernetworking-plugins/)
  await fails('crash', 'CNI_PLUGIN_FAILED', /it was ended by SIGSEGV and printed nothing/)
  await fails('hang', 'CNI_PLUGIN_TIMEOUT', /it was killed after 300 ms/)
  await fails('rubbish', 'CNI_RESULT_INVALID', /it printed no JSON but "hello"/)
  await fails('empty', 'CNI_RESULT_INVALID', /it printed no JSON but nothing/)
  await fails('flood', 'CNI_RESULT_INVALID', /it printed more than 1048576 bytes/)
  t.same(await cached(), [])
})

t.test('what a plugin leaves running does not hold anybody up', async (t) => {
  const { cni } = await plugins(t, { daemon: `sleep 1 & ${good}` })
  t.match(await cni.attach(network('daemon'), { containerId: id, netns }), { ips: [{}] })
})

t.test('the environment is CNI and PATH', async (t) => {
  const { cni } = await plugins(t, {
    env: `test $CNI_COMMAND = DEL && exit 0; echo "{\\"dns\\":{\\"options\\":[\\"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\\",\\"$CNI_ARGS\\"]}}"`,
  })
  const result = await cni.attach(network('env'), {
    containerId: id,
    netns,
    capabilities: { ips: ['10.1.0.9'], mac: '02:00:00:00:00:01' },
  })
  const [names = '', args] = result.dns?.options ?? []
  t.same(
    names.split(' ').filter((name) => !['', 'PWD', 'SHLVL', '_', 'OLDPWD'].includes(name)),
    ['CNI_ARGS', 'CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH', 'PATH'],
  )
  t.equal(args, 'IgnoreUnknown=1;IP=10.1.0.9;MAC=02:00:00:00:00:01')
})

t.test('ports need a plugin that publishes them', async (t) => {
  const { cni, calls } = await plugins(t, { first: good })
  const capabilities = { portMappings: [{ hostPort: 1, containerPort: 2, protocol: 'tcp' as const }] }
  await rejectsWith(
    t,
    () => cni.attach(network('first'), { containerId: id, netns, capabilities }),
    'INVALID_OPTION',
    /no plugin of its CNI configuration has the capability portMappings/,
  )
  t.same(await calls(), [])
})

t.test('containers that are gone, and GC', async (t) => {
  const { cni, calls, cached } = await plugins(t, { first: good })
  const net = network('first')
  const [living, dead] = ['a'.repeat(64), 'd'.repeat(64)]
  for (const containerId of [living, dead]) await cni.attach(net, { containerId, netns })
  await cni.collect([net], (one) => Promise.resolve(one === living))
  const after = (await calls()).slice(2)
  t.same(words(after), ['DEL first', 'GC first'])
  t.match(after[0], dead)
  t.match(after[1], `"cni.dev/valid-attachments":[{"containerID":"${living}","ifname":"eth0"}]`)
  t.equal((await cached()).length, 1)
  await cni.status(net)
  t.same(words(await calls()).at(-1), 'STATUS first')
})

t.test('a host that is killed between two plugins', async (t) => {
  const { cni, calls, cached, log } = await plugins(t, {
    first: good,
    second: 'test $CNI_COMMAND = DEL && exit 0; kill -9 $PPID; sleep 1',
  })
  const attach = new URL('../../../lib/network/cni/attach.js', import.meta.url).href
  const directory = dirname(log)
  const host = `
    import { Cni } from ${JSON.stringify(attach)}
    const cni = new Cni({ cacheDirectory: ${JSON.stringify(join(directory, 'cache'))}, pluginDirectories: [${JSON.stringify(directory)}] })
    await cni.attach(${JSON.stringify(network('first', 'second'))}, { containerId: ${JSON.stringify(id)}, netns: ${JSON.stringify(netns)} })`
  const { signal } = spawnSync(process.execPath, ['--input-type=module', '--eval', host])
  t.equal(signal, 'SIGKILL')
  t.same(words(await calls()), ['ADD first', 'ADD second'])
  await cni.collect([], () => Promise.resolve(false))
  const after = (await calls()).slice(2)
  t.same(words(after), ['DEL second', 'DEL first'], 'the next one cleans up')
  for (const line of after) t.match(line, /\[\]/, 'and knows no namespace: that of the number may be another by now')
  t.same(await cached(), [])
})
