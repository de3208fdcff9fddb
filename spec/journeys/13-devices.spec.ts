import t from 'tap'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerOptions } from 'podling'
import { testRuntime } from '../fixtures/runtime.js'

const home = t.testdir({ low: {}, high: {}, dev: { sub: {} }, data: { file: 'from the vendor\n' } })
const setup = await testRuntime({ cdiSpecDirs: [join(home, 'low'), join(home, 'high'), join(home, 'none')] })
t.teardown(() => setup[Symbol.asyncDispose]())
const { runtime, image } = setup

/** What a script says in a container with these options. */
async function output(script: string, options: Partial<ContainerOptions>): Promise<string> {
  await using container = await runtime.run({ image, command: ['sleep', '100'], network: 'none', ...options })
  const { stdout, stderr } = await container.exec(['sh', '-c', script])
  return (stdout + stderr).trim()
}

const stat = (path: string) => `stat -c '%F %t %T %a %u' ${path}`
/** Says how it can be opened, and why not: nothing is read or written. */
const open = (path: string) => `(exec 3<${path}) && echo reads; (exec 3>>${path}) && echo writes; true`

t.test('a device of the host, and what may be done with it', async (t) => {
  t.match(await output(open('/dev/fuse'), {}), /no such file/i, 'none without a word')
  t.match(await output(stat('/dev/fuse'), { devices: ['/dev/fuse'] }), /^character special file a e5/)
  t.equal(await output(open('/dev/fuse'), { devices: ['/dev/fuse'] }), 'reads\nwrites')
  const options = { devices: ['/dev/fuse:/dev/sub/fuse:r'] }
  t.match(await output(open('/dev/sub/fuse'), options), /^reads\n.*not permitted/)
  const node = `mknod /dev/f c 10 229; ${open('/dev/f')}`
  t.match(await output(node, { capAdd: ['MKNOD'] }), /not permitted\n.*not permitted$/, 'a node alone is no right')
  t.equal(await output(node, { capAdd: ['MKNOD'], deviceCgroupRules: ['c 10:229 rw'] }), 'reads\nwrites')
})

t.test('all devices of a directory', async (t) => {
  execFileSync('mknod', ['-m', '640', join(home, 'dev/one'), 'c', '1', '5'])
  execFileSync('mknod', [join(home, 'dev/sub/two'), 'c', '1', '3'])
  const options = { devices: [`${home}/dev:/dev/mine`] }
  t.equal(
    await output(`${stat('/dev/mine/one')}; ${stat('/dev/mine/sub/two')} | cut -c1-26`, options),
    'character special file 1 5 640 0\ncharacter special file 1 3',
  )
  await t.rejects(output('', { devices: [`${home}/data`] }), { code: 'DEVICE_NOT_FOUND', message: /no devices in it/ })
})

t.test('privileged: all of them', async (t) => {
  t.match(await output('ls /dev; (exec 3</dev/fuse) && echo ok', { privileged: true }), /fuse[^]*ok/)
})

t.test('mistakes', async (t) => {
  await t.rejects(output('', { devices: ['/dev/no-such', '/etc/passwd', '/dev/null'] }), {
    code: 'DEVICE_NOT_FOUND',
    message: /\/dev\/no-such is not there \(ENOENT\); \/etc\/passwd is no device/,
  })
  await t.rejects(
    output('', { devices: ['fuse', '/dev/fuse:rwx', '/dev/fuse:/../x'], deviceCgroupRules: ['c 1 3 r'] }),
    {
      code: 'INVALID_OPTION',
      message: /devices\[0\][^]*devices\[1\][^]*devices\[2\][^]*deviceCgroupRules\[0\]/,
    },
  )
})

const vendor = (device: object, more: object = {}) => ({
  cdiVersion: '0.6.0',
  kind: 'vendor.com/thing',
  devices: [{ name: '0', containerEdits: device }],
  ...more,
})

t.test('devices of the Container Device Interface', async (t) => {
  writeFileSync(
    join(home, 'low/vendor.yaml'),
    `# As a vendor's package has it
cdiVersion: "0.6.0"
kind: vendor.com/thing
containerEdits:
  env: [THING_COMMON=1]
devices:
  - name: "0"
    containerEdits:
      env:
        - THING=zero
      deviceNodes:
        - path: /dev/thing0
          hostPath: /dev/fuse
          permissions: r
        - {path: /dev/given, type: c, major: 1, minor: 3, fileMode: 384}
      mounts:
        - hostPath: ${home}/data
          containerPath: /opt/thing
          options: [ro, bind]
      additionalGids: [4321]
  - name: two
    containerEdits: {env: [TWO=2]}
`,
  )
  const script = `echo $THING_COMMON $THING $TWO; cat /opt/thing/file; ${stat('/dev/thing0')}; ${stat('/dev/given')}; id -G; ${open('/dev/thing0')}; touch /opt/thing/x`
  const said = await output(script, { devices: ['vendor.com/thing=0', 'vendor.com/thing=two'], user: 'root' })
  t.match(
    said,
    /^1 zero 2\nfrom the vendor\ncharacter special file a e5 .*\ncharacter special file 1 3 600 0\n.*\b4321\b.*\nread/,
  )
  t.match(said, /Read-only file system/)
  t.match(said, /thing0: Operation not permitted/)
  await using container = await runtime.containers.create({
    image,
    devices: ['vendor.com/thing=two'],
    network: 'none',
    command: ['true'],
  })
  t.match(container.inspect().spec.process?.env, /TWO=2/)
})

t.test('the later directory is stronger, and what is wrong is told', async (t) => {
  const put = (file: string, content: unknown) => {
    mkdirSync(join(home, 'high'), { recursive: true })
    writeFileSync(join(home, 'high', file), typeof content === 'string' ? content : JSON.stringify(content))
  }
  const thing = (name = '0') => output('echo $THING', { devices: [`vendor.com/thing=${name}`] })
  put('a.json', vendor({ env: ['THING=high'] }))
  t.equal(await thing(), 'high')
  t.equal(await thing('two'), '', 'what it does not have is as it was')
  put('b.json', vendor({}))
  await t.rejects(thing(), { code: 'DEVICE_NOT_FOUND', message: /both in .*a\.json and in .*b\.json/ })
  await t.rejects(thing('3'), { code: 'DEVICE_NOT_FOUND', message: /did you mean vendor\.com\/thing=/ })
  put('b.json', vendor({ intelRdt: { closID: 'x' }, netDevices: [{ hostInterfaceName: 'eth9', name: 'eth0' }] }))
  put('a.json', 'broken vendor.org/thing')
  await t.rejects(thing(), { code: 'CDI_UNSUPPORTED', message: /intelRdt and netDevices/ })
  for (const [content, message] of [
    ['vendor.com/thing: [', /CDI file .*b\.json/],
    [vendor({ surprise: 1 }), /containerEdits\.surprise: unknown/],
    [vendor({}, { cdiVersion: '9.0.0' }), /cdiVersion: must be a version/],
    [`a: &x vendor.com/thing\nb: *x\n`, /alias/i],
  ] as const) {
    put('b.json', content)
    await t.rejects(thing(), { code: 'CDI_INVALID', message })
  }
  put('b.json', vendor({ deviceNodes: [{ path: '/dev/no-such-thing' }] }))
  await t.rejects(thing(), { code: 'DEVICE_NOT_FOUND', message: /no-such-thing/ })
})
