/** A pod of two: a web server, and a client that finds it at localhost. One port of the host leads to the pod. */
import { Runtime } from 'podling'

await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['node'] })
await using pod = await runtime.pods.create({ name: 'shop', ports: ['127.0.0.1::80'], memory: '256m' })

const serve = `require('node:http').createServer((request, response) => response.end('open at ' + request.url)).listen(80)`
await runtime.run({
  pod,
  name: 'web',
  image,
  command: ['node', '--eval', serve],
  // Asked of localhost, in the pod's own network.
  ready: { http: '/', port: 80 },
})

const ask = `fetch('http://localhost/till').then((response) => response.text()).then(console.log)`
const client = await runtime.run({ pod, name: 'client', image, command: ['node', '--eval', ask], dependsOn: ['web'] })
await client.wait()
for await (const { text } of client.logs()) console.log(`client: ${text}`)

const [port] = pod.ports
const response = await fetch(`http://127.0.0.1:${String(port?.host)}/door`)
console.log(`host: ${await response.text()}`)
console.log(`${pod.name} is ${pod.status}: ${pod.containers.map(({ name, status }) => `${name} ${status}`).join(', ')}`)
