import t from 'tap'
import { podStatus } from '../../lib/pod/status.js'

t.test('the status of a pod is that of its parts, in the words of Podman', async (t) => {
  t.equal(podStatus(['created']), 'created')
  t.equal(podStatus(['created', 'created']), 'created')
  t.equal(podStatus(['running']), 'running', 'what holds it is one of them')
  t.equal(podStatus(['running', 'stopping']), 'running')
  t.equal(podStatus(['running', 'exited']), 'degraded')
  t.equal(podStatus(['exited', 'running']), 'degraded', 'also when it is the holder that has ended')
  t.equal(podStatus(['paused', 'paused']), 'paused')
  t.equal(podStatus(['paused', 'running']), 'degraded')
  t.equal(podStatus(['exited', 'exited']), 'exited')
  t.equal(podStatus(['exited', 'created']), 'stopped')
})
