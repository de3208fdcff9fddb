/** An interactive shell in a container, on the terminal that this runs on: `node terminal.js`. Ctrl-P Ctrl-Q leaves it. */
import { stdin, stdout } from 'node:process'
import { Runtime } from 'podling'

if (!stdin.isTTY || !stdout.isTTY) throw new Error('run this on a terminal')
const size = () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 })

await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['bash', 'ls', 'ps', 'stty'] })
await using container = await runtime.run({
  image,
  command: ['bash', '--norc'],
  env: { TERM: process.env['TERM'] ?? 'xterm' },
  tty: true,
  stdin: true,
  network: 'none',
})
const terminal = await container.attach()

// Every key goes to the container from here on, Ctrl-C among them.
stdin.setRawMode(true)
stdin.pipe(terminal.stdin)
terminal.stdout.pipe(stdout, { end: false })
const resize = () => {
  // It may have ended in this very moment.
  terminal.resize(size()).catch(() => undefined)
}
stdout.on('resize', resize)
// The shell draws its prompt anew when it hears of its size, so that none is missed that came before we did.
resize()
try {
  const how = await Promise.race([terminal.exited, terminal.detached])
  console.log(how === undefined ? '\ndetached' : `the shell ended with exit code ${String(how.exitCode)}`)
} finally {
  stdin.setRawMode(false)
  stdin.unpipe().pause()
  stdout.off('resize', resize)
}
