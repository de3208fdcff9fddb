/** Puts files into a container, shows what has changed in it, makes an image of that, and saves it. `node changes.js [FILE]` */
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Runtime } from 'podling'

const [, , file = join(tmpdir(), 'podling-changes.tar')] = process.argv
await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({
  binaries: ['sh', 'rm', 'sleep'],
  files: [{ to: '/etc/old', content: '' }],
})
await using container = await runtime.run({ image, command: ['sleep', '1000'], network: 'none' })

// A file of this machine; a tar as a stream does as well.
await container.copyTo(process.argv[1] ?? '', '/etc')
await container.exec(['sh', '-c', 'echo settled > /etc/state; rm /etc/old'])
for (const { kind, path } of await container.diff()) console.log(kind, path)

const tar = await text(await container.copyFrom('/etc/state'))
console.log(
  `a tar of ${String(tar.length)} bytes with ${tar.includes('settled') ? 'what was written' : 'nothing'} in it`,
)

const changed = await container.commit({ ref: 'changed:1', message: 'settled', config: { cmd: ['sh'] } })
const { own, shared } = changed.space
console.log(`${changed.names[0] ?? ''}: ${kilobytes(own)} of its own, ${kilobytes(shared)} shared`)
await runtime.images.save(changed, file, { format: 'docker-archive' })
console.log(`${kilobytes((await stat(file)).size)} for docker load or podman load in ${file}`)

await runtime.images.remove(changed)

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`
}
