/** Volumes that are more than directories: they are mounted in the user namespace, where an ordinary user may do so. */
import t from 'tap'
import { Runtime, type Container } from 'podling'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const add = [{ name: 'data', type: 'directory', mode: 0o700, uid: 1000, gid: 1000 } as const]
const image = await runtime.images.import(await busyboxRootfs({ add }), { ref: 'busybox:test' })

function idle(volume: string, user = 'root'): Promise<Container> {
  return runtime.run({ image, command: ['sleep', '1000'], network: 'none', user, volumes: [volume] })
}

t.test('a tmpfs of its own size', async (t) => {
  await runtime.volumes.create({ name: 'scratch', options: { type: 'tmpfs', o: 'size=1m' } })
  await using one = await idle('scratch:/scratch')
  await using other = await idle('scratch:/scratch')
  t.match(await one.exec(['sh', '-c', 'df /scratch | tail -1; echo shared > /scratch/word']), {
    stdout: /tmpfs +1024 /,
  })
  t.match(await other.exec(['cat', '/scratch/word']), { stdout: 'shared\n' })
})

t.test('an encrypted one', async (t) => {
  await runtime.volumes.create({ name: 'vault', encryptionKey: 'a passphrase' })
  {
    await using container = await idle('vault:/data', 'app')
    t.match(await container.exec(['sh', '-c', 'echo legible > /data/word; stat -c "%u %g" /data/word']), {
      stdout: '1000 1000\n',
      exitCode: 0,
    })
  }
  await using again = await idle('vault:/data')
  t.match(await again.exec(['cat', '/data/word']), { stdout: 'legible\n' })
})

t.test('what root alone may mount is refused by name, and nothing is left of the start', async (t) => {
  await runtime.volumes.create({ name: 'disk', options: { type: 'ext4', device: '/dev/null' } })
  const refusal = { code: 'PERMISSION_DENIED', message: /mount volume disk .*the machine's root mount ext4/ }
  await t.rejects(idle('disk:/disk'), refusal)
  await t.rejects(runtime.volumes.create({ name: 'luks', encryptionKey: 'a passphrase', encryption: 'luks' }), {
    code: 'PERMISSION_DENIED',
    message: /create volume luks: .*device mapper.*machine's root alone.*gocryptfs/,
  })
  t.strictSame(await runtime.containers.list(), [])
})

t.test('they are removed', async (t) => {
  const { volumes } = await runtime.prune({ volumes: 'all' })
  t.strictSame(volumes.map(({ name }) => name).sort(), ['disk', 'scratch', 'vault'])
})
