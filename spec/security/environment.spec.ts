/** What the host's environment and command lines hold doesn't come into a container. */
import t from 'tap'
import { attackLab } from '../fixtures/attack-lab.js'

const secret = 'a-secret-of-the-host'
process.env['PODLING_SPEC_LEAK'] = secret
const lab = await attackLab(t)
// The brackets keep the search from finding itself.
const search = `cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n' | grep -c '${secret.replace('h', '[h]')}'`
const attack = { command: ['sh', '-c', search] }

t.test('with the host’s environment passed on', async (t) => {
  const { lines } = await lab.weak(attack, {
    spec: (spec) => ({ ...spec, process: { ...spec.process!, env: [...spec.process!.env!, `LEAK=${secret}`] } }),
  })
  t.ok(Number(lines[0]) > 0, 'it is found')
})

t.test('Podling', async (t) => {
  t.strictSame((await lab.strong(attack)).lines, ['0'])
  await using container = await lab.runtime.run({ image: lab.image, command: ['sleep', '1000'], network: 'none' })
  t.equal((await container.exec(attack.command)).stdout, '0\n', 'nor by an exec')
  t.notMatch((await container.exec(['env'])).stdout, secret)
})
