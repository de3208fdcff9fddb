/** Machines that won't do: each is told at open, and nothing is made there. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { temporaryDirectory } from '../fixtures/directory.js'
import { needs } from '../peers.js'

const run = promisify(execFile)

/** What Runtime.open() says in a process that is started by this command, after `before`. */
async function told(t: Test, command: readonly string[], before = ''): Promise<string> {
  const root = join(await temporaryDirectory(t), 'root')
  const program = `
    import { Runtime } from 'podling'
    ${before}
    const error = await Runtime.open({ root: ${JSON.stringify(root)} }).catch((error) => error)
    console.log(error.code + ': ' + error.message)`
  const words = [...command, process.execPath, '--input-type=module', '-e', program]
  const { stdout } = await run(words[0]!, words.slice(1))
  t.notOk(existsSync(root), 'nothing is made')
  return stdout.trim()
}

t.test('a kernel that is too old', needs('root'), async (t) => {
  // personality(2), UNAME26: the kernel says that it is a 2.6.
  const text = await told(t, ['setarch', '--uname-2.6'])
  t.match(text, /^KERNEL_UNSUPPORTED: .*5\.15 or newer.* 2\.6\.\d+.*; boot/)
})

t.test('another system', async (t) => {
  const text = await told(t, [], `Object.defineProperty(process, 'platform', { value: 'darwin' })`)
  t.match(text, /^PLATFORM_UNSUPPORTED: .*darwin/)
})

t.test('neither root nor user namespaces', needs('root'), async (t) => {
  // A root of a user namespace, without capabilities and with no more namespaces to be had.
  const forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"'
  const text = await told(t, ['unshare', '--user', '--map-root-user', 'sh', '-c', forbid, 'sh'])
  t.match(text, /^PERMISSION_DENIED: .*(root|user namespaces)/)
})

t.test('an ordinary user where only root will do', needs('root'), async (t) => {
  const text = await told(t, ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'])
  t.match(text, /^(PERMISSION_DENIED|INVALID_OPTION): /)
})
