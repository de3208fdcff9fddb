/** What bundles ask for by the ways of other runtimes: podling-oci does as runc does, in what it takes and what it refuses. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { ociRuntime, runs, type MutableSpec } from '../fixtures/oci.js'

for (const name of ['runc', 'podling-oci'] as const) {
  t.test(`${name}: kernel parameters of namespaces that are not the container's own are refused`, async (t) => {
    const runtime = await ociRuntime(t, name)
    const setting =
      (key: string, value: string, without?: string, path?: string) =>
      (spec: MutableSpec): void => {
        runs('cat', `/proc/sys/${key.replaceAll('.', '/')}`)(spec)
        spec.linux.sysctl = { [key]: value }
        if (without === 'uts') delete spec.hostname
        const others = spec.linux.namespaces!.filter(({ type }) => type !== without)
        const joined = path === undefined ? [] : [{ type: 'network' as const, path }]
        spec.linux.namespaces = [...others, ...joined]
      }
    const refused = async (key: string, without?: string, path?: string): Promise<void> => {
      const file = `/proc/sys/${key.replaceAll('.', '/')}`
      const before = readFileSync(file, 'utf8')
      // Its own value, so that nothing is changed where it should be written.
      const bundle = runtime.bundle(setting(key, before.trim(), without, path))
      const outcome = await runtime.call('run', '--bundle', bundle, 'refused')
      t.match(
        outcome,
        { code: 1, stdout: '', stderr: new RegExp(`sysctl \\\\?"${key}\\\\?"`) },
        `${key} ${without ?? ''}`,
      )
      t.equal(await runtime.status('refused'), 'absent')
    }
    await refused('fs.mqueue.queues_max', 'ipc')
    await refused('kernel.msgmax', 'ipc')
    await refused('net.ipv4.ip_default_ttl', 'network')
    await refused('net.ipv4.ip_default_ttl', 'network', '/proc/self/ns/net')
    await refused('kernel.domainname', 'uts')
    await refused('kernel.hostname')
    await refused('kernel.panic')
    const had: string[] = []
    for (const [key, value] of [
      ['fs.mqueue.queues_max', '100'],
      ['kernel.msgmax', '4096'],
      ['net.ipv4.ip_default_ttl', '65'],
      ['kernel.domainname', 'example'],
    ] as const) {
      had.push(await runtime.must('run', '--bundle', runtime.bundle(setting(key, value)), 'own'))
    }
    t.strictSame(had, ['100\n', '4096\n', '65\n', 'example\n'])
  })

  t.test(`${name}: a working directory is made in a root that is read-only to the container`, async (t) => {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      spec.process.args = ['sh', '-c', 'pwd; busybox touch file || echo read-only']
      spec.process.cwd = '/srv/made/for/it'
      spec.root.readonly = true
    })
    t.equal(await runtime.must('run', '--bundle', bundle, 'c'), '/srv/made/for/it\nread-only\n')
  })

  t.test(`${name}: a device may be named with a slash behind it`, async (t) => {
    const runtime = await ociRuntime(t, name)
    const bundle = runtime.bundle((spec) => {
      spec.process.args = ['stat', '-c', '%n %F %t %T', '/dev/other', '/dev/null']
      spec.linux.devices = [
        { path: '/dev/other/', type: 'c', major: 1, minor: 5 },
        { path: '/dev/null//', type: 'c', major: 1, minor: 3 },
      ]
    })
    const devices = '/dev/other character special file 1 5\n/dev/null character special file 1 3\n'
    t.equal(await runtime.must('run', '--bundle', bundle, 'c'), devices)
  })

  t.test(`${name}: a hook beside the runtime has its variables, where it has none of its own`, async (t) => {
    const runtime = await ociRuntime(t, name)
    process.env.FOR_HOOKS = 'of the caller'
    t.teardown(() => delete process.env.FOR_HOOKS)
    let written = ''
    const bundle = runtime.bundle((spec) => {
      spec.process.args = ['env']
      written = `${runtime.root}.hooks`
      const says = (stage: string, env?: string[]) => ({
        path: '/bin/sh',
        args: ['sh', '-c', `echo "${stage} $FOR_HOOKS" >>${written}`],
        ...(env === undefined ? {} : { env }),
      })
      spec.hooks = {
        createRuntime: [says('createRuntime'), says('own', ['FOR_HOOKS=mine']), says('none', [])],
        createContainer: [says('createContainer')],
        poststart: [says('poststart')],
        poststop: [says('poststop')],
      }
    })
    t.notMatch(await runtime.must('run', '--bundle', bundle, 'c'), 'FOR_HOOKS', 'nothing of that is the container’s')
    t.strictSame(readFileSync(written, 'utf8').split('\n'), [
      'createRuntime of the caller',
      'own mine',
      'none ',
      'createContainer ',
      'poststart of the caller',
      'poststop of the caller',
      '',
    ])
  })
}

t.test('a name that leads out of the parameters it begins with is refused', async (t) => {
  const runtime = await ociRuntime(t)
  const bundle = runtime.bundle((spec) => {
    runs('true')(spec)
    spec.linux.sysctl = { 'net.//.kernel.panic': readFileSync('/proc/sys/kernel/panic', 'utf8').trim() }
  })
  t.match(await runtime.call('run', '--bundle', bundle, 'c'), { code: 1, stderr: /not in a separate kernel namespace/ })
})
