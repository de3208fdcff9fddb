/** Data that outlives its containers: two of them, one after the other, count visits in a volume. */
import { Runtime } from 'podling'

await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['sh', 'wc'] })
await runtime.volumes.create({ name: 'visits', labels: { example: 'volumes' } })

try {
  for (const name of ['first', 'second']) {
    await using container = await runtime.run({
      image,
      volumes: ['visits:/visits'],
      command: ['sh', '-c', 'echo >>/visits/log; wc -l </visits/log'],
    })
    await container.wait()
    for await (const { text } of container.logs()) console.log(`${name}: ${text} visit${text === '1' ? '' : 's'}`)
  }
  console.log(`kept in ${(await runtime.volumes.get('visits')).path ?? ''}`)
} finally {
  await runtime.volumes.remove('visits')
}
console.log(
  await runtime.volumes.list({ label: 'example=volumes' }).then((left) => (left.length === 0 ? 'gone' : left)),
)
