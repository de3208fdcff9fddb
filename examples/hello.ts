/** The smallest of all: `echo` of this machine, in a container. */
import { Runtime } from 'podling'

await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['echo'] })
await using hello = await runtime.run({ image, command: ['echo', 'Hello from a container'], network: 'none' })
await hello.wait()
for await (const { text } of hello.logs()) console.log(text)
