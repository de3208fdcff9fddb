/** Containers of an ordinary user's pods that have user namespaces can't touch other pods of his. */
import t from 'tap'
import { Runtime } from 'podling'
import { attackFromPod, attacks } from '../../fixtures/pod-users.js'
import { busyboxRootfs } from '../../fixtures/runtime.js'

const runtime = await Runtime.open()
t.teardown(() => runtime.close())
const image = await runtime.images.import(await busyboxRootfs(), { ref: 'busybox:test' })

t.test('one pod against another', async (t) => {
  t.strictSame(await attackFromPod(t, { runtime, image }, 'host'), Array.from({ length: attacks }, () => 'done'))
  t.strictSame(await attackFromPod(t, { runtime, image }, 'auto:size=2000'), Array.from({ length: attacks }, () => 'refused'))
}) // prettier-ignore
