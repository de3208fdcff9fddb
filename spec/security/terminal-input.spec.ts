/** ioctl TIOCSTI: a program that shares its caller's terminal types commands into it, for the caller's shell to run. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const run = promisify(execFile)
const lab = await attackLab(t)
const host = fileURLToPath(new URL('../fixtures/terminal-host.js', import.meta.url))

/** What a command says that has a terminal of its own. */
async function onTerminal(command: string): Promise<string> {
  return (await run('script', ['-qec', command, '/dev/null'])).stdout.trim()
}

t.test('a plain container that keeps the terminal', async (t) => {
  t.match(await onTerminal(`unshare -m -p -f --mount-proc ${lab.attack} tiocsti`), /ok 0/)
})

t.test('Podling, in a host that has one', async (t) => {
  t.match(
    await onTerminal(`${process.execPath} ${host} ${lab.root} ${lab.image.names[0]!}`),
    /^run ENXIO\s+exec ENXIO$/,
  )
})
