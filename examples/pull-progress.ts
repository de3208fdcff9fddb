/**
 * Pull an image with one bar a layer: how much of it has come, and how much of that is unpacked. Layers come and are
 * unpacked beside each other. Needs root and a registry. `node pull-progress.js docker.io/library/debian:12`
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Runtime, type ImageProgress } from 'podling'

const [ref = 'docker.io/library/debian:12'] = process.argv.slice(2)
const width = 40

interface Layer {
  readonly total: number
  came: number
  unpacked: number
  done: boolean
}

const layers = new Map<string, Layer>()

function note({ digest, kind, phase, current, total }: ImageProgress): void {
  if (kind !== 'layer') return
  const layer = layers.get(digest) ?? { total, came: 0, unpacked: 0, done: false }
  layers.set(digest, layer)
  if (phase === 'unpack') layer.unpacked = Math.max(layer.unpacked, current)
  else if (phase === 'unpacked') layer.done = true
  else layer.came = Math.max(layer.came, current)
  if (layer.done) layer.came = layer.unpacked = total
}

/** `█` is unpacked, `▒` has come, `·` is to come. */
function line([digest, { total, came, unpacked, done }]: readonly [string, Layer]): string {
  const cells = (bytes: number): number => Math.round((bytes / Math.max(total, 1)) * width)
  const bar = '█'.repeat(cells(unpacked)).padEnd(cells(came), '▒').padEnd(width, '·')
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
  return `${digest.slice(7, 19)} ${bar} ${megabytes(came)} of ${megabytes(total)} MB${done ? ', done' : ''}`
}

let drawn = 0
function draw(): void {
  if (drawn > 0) process.stdout.write(`\x1b[${String(drawn)}A`)
  for (const each of layers) process.stdout.write(`\x1b[2K${line(each)}\n`)
  drawn = layers.size
}

const root = await mkdtemp(join(tmpdir(), 'podling-pull-'))
try {
  await using runtime = await Runtime.open({ root, storageDriver: 'erofs' })
  const began = performance.now()
  const timer = process.stdout.isTTY ? setInterval(draw, 100) : undefined
  const image = await runtime.images.pull(ref, { onProgress: note }).finally(() => {
    clearInterval(timer)
  })
  draw()
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`${image.names[0] ?? image.id}: ${(image.size / 1e6).toFixed(1)} MB in ${seconds} s`)
} finally {
  await rm(root, { recursive: true, force: true })
}
