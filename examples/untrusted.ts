/** Runs JavaScript that nobody has read: no network, no way to write, no rights, little memory, two seconds. */
import { Runtime } from 'podling'

await using runtime = await Runtime.open()
const image = await runtime.images.fromHost({ binaries: ['node'] })

const programs = {
  'a fair one': 'console.log(6 * 7)',
  'a greedy one': 'const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))',
  'an endless one': 'for (;;);',
  'a curious one': "fetch('http://example.com').catch(({ cause }) => console.log(cause.code))",
  'a vandal': "require('node:fs').writeFileSync('/etc/passwd', '')",
}
for (const [name, source] of Object.entries(programs)) console.log(`${name}: ${await evaluate(source)}`)

async function evaluate(source: string): Promise<string> {
  await using sandbox = await runtime.run({
    image,
    command: ['node', '--eval', source],
    user: 'nobody',
    network: 'none',
    readOnly: true,
    capDrop: ['ALL'],
    noNewPrivileges: true,
    memory: '128m',
    pidsLimit: 64,
  })
  const limit = { passed: false }
  const timer = setTimeout(() => {
    limit.passed = true
    // It may have ended by itself at this very moment.
    sandbox.kill().catch(() => undefined)
  }, 2000)
  const { exitCode, oomKilled } = await sandbox.wait()
  clearTimeout(timer)
  if (oomKilled) return 'used more memory than it was given'
  if (limit.passed) return 'took too long'

  const lines: string[] = []
  for await (const { stream, text } of sandbox.logs()) if (stream === 'stdout' || /Error/.test(text)) lines.push(text)
  return `${lines.join('\n')} (exit code ${String(exitCode)})`
}
