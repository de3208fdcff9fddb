/**
 * A service that runs the jobs of strangers: each in a container of its own with little of everything, two at a time, the
 * others wait. A job is JavaScript and an input; the answer is what it printed, or why it didn't come that far.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { PodlingError, Runtime, type Container, type ContainerOptions, type Image } from 'podling'

interface Job {
  readonly source: string
  readonly input?: string
}

interface Result {
  readonly outcome: 'done' | 'failed' | 'out of memory' | 'out of time'
  readonly output: string
}

const limits = {
  user: 'nobody',
  network: 'none',
  readOnly: true,
  capDrop: ['ALL'],
  noNewPrivileges: true,
  memory: '128m',
  cpus: 0.5,
  pidsLimit: 32,
  // However much it prints, no more than this of it is kept.
  logOptions: { maxSize: '1m' },
} as const satisfies Partial<ContainerOptions>

class Jobs {
  readonly #runtime: Runtime
  readonly #image: Image
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(runtime: Runtime, image: Image, atOnce: number) {
    this.#runtime = runtime
    this.#image = image
    this.#free = atOnce
  }

  async run(job: Job): Promise<Result> {
    if (this.#free > 0) this.#free -= 1
    else await new Promise<void>((go) => this.#waiting.push(go))
    try {
      return await this.#run(job)
    } finally {
      // Its place is handed on to the one that waits longest.
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next()
    }
  }

  async #run({ source, input = '' }: Job): Promise<Result> {
    const options = { ...limits, image: this.#image, command: ['node', '--eval', source], env: { INPUT: input } }
    await using container = await this.#runtime.run(options)
    const outcome = await outcomeOf(container)
    const lines: string[] = []
    for await (const { text } of container.logs({ tail: 100 })) lines.push(text)
    return { outcome, output: lines.join('\n') }
  }
}

async function outcomeOf(container: Container): Promise<Result['outcome']> {
  try {
    const { exitCode, oomKilled } = await container.wait({ signal: AbortSignal.timeout(5000) })
    if (oomKilled) return 'out of memory'
    return exitCode === 0 ? 'done' : 'failed'
  } catch (error) {
    // What still runs goes with its container.
    if (error instanceof PodlingError && error.code === 'ABORTED') return 'out of time'
    throw error
  }
}

await using runtime = await Runtime.open()
const jobs = new Jobs(runtime, await runtime.images.fromHost({ binaries: ['node', 'sleep'] }), 2)
const server = createServer((request, response) => {
  json(request)
    .then((body) => jobs.run(body as Job))
    .then(
      (result) => response.end(JSON.stringify(result)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
})
await once(server.listen(0, '127.0.0.1'), 'listening')

// The rest plays its users: a real service ends here.
const url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`
const given: Readonly<Record<string, Job>> = {
  square: { source: 'console.log(process.env.INPUT ** 2)', input: '12' },
  broken: { source: 'console.log("so far"); process.exit(3)' },
  greedy: { source: 'const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))' },
  endless: { source: 'for (;;);' },
  multiplying: {
    source: `const { spawn } = require('node:child_process')
      const refused = ({ code }) => { console.log('more processes:', code); process.exit() }
      for (let count = 0; count < 40; count += 1) spawn('sleep', ['100']).on('error', refused)`,
  },
}
const answers = Object.entries(given).map(async ([name, job]) => {
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(job) })
  const { outcome, output } = (await answer.json()) as Result
  return `${name}: ${outcome}${output === '' ? '' : `, ${JSON.stringify(output)}`}`
})
for (const answer of await Promise.all(answers)) console.log(answer)
server.close()
