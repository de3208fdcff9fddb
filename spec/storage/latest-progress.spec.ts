import t from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ImageProgress } from '../../lib/image/progress.js'
import { LatestProgress } from '../../lib/storage/latest-progress.js'

const at = (phase: ImageProgress['phase'], current: number): ImageProgress => {
  return { digest: 'sha256:x', kind: 'layer', phase, current, total: 100 }
}

t.test('the first and the last word of each phase, and of those between the newest', async (t) => {
  const told: string[] = []
  const progress = new LatestProgress(({ phase, current }) => told.push(`${phase} ${String(current)}`))
  for (let current = 0; current <= 90; current += 10) progress.push(at('download', current))
  t.strictSame(told, ['download 0'])
  progress.push(at('done', 100))
  t.strictSame(told, ['download 0', 'download 90', 'done 100'])
  progress.flush()
  t.equal(told.length, 3)
})

t.test('the newest is told by itself, when nothing comes after it', async (t) => {
  const told: number[] = []
  const progress = new LatestProgress(({ current }) => told.push(current))
  progress.push(at('download', 1))
  progress.push(at('download', 2))
  while (told.length < 2) await sleep(5)
  t.strictSame(told, [1, 2])
  progress.flush()
})
