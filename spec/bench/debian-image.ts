/** A real image of Debian, made of what is installed here: about 550 MB in 14,000 files, one layer, gzip; in a registry on loopback. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { createGzip } from 'node:zlib'
import { skopeoCopy } from '../fixtures/images.js'
import { startRegistry } from '../fixtures/registry.js'
import type { Workspace } from './workspace.js'

const run = promisify(execFile)

const FILES = 14_000
const BYTES = 550e6

export interface DebianImage {
  /** In the registry. */
  readonly ref: string
  /** The layer as it is in the registry. */
  readonly blob: string
  readonly files: number
  /** Of the tar. */
  readonly bytes: number
  /** Of the blob. */
  readonly packed: number
  close(): Promise<void>
}

export async function debianImage({ directory }: Workspace): Promise<DebianImage> {
  const home = join(directory, 'debian')
  const blobs = join(home, 'layout/blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const names = await chooseFiles()
  await writeFile(join(home, 'names'), names.map((name) => `usr/${name}\0`).join(''))
  const tar = spawn('tar', ['-C', '/', '--null', '-c', '-T', join(home, 'names')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const diff = createHash('sha256')
  let bytes = 0
  tar.stdout.on('data', (chunk: Buffer) => {
    diff.update(chunk)
    bytes += chunk.length
  })
  await pipeline(tar.stdout, createGzip({ level: 6 }), createWriteStream(join(home, 'layer')))
  const layer = await put(blobs, join(home, 'layer'))
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  const rootfs = { type: 'layers', diff_ids: [`sha256:${diff.digest('hex')}`] }
  const config = await document(blobs, { architecture, os: 'linux', config: {}, rootfs })
  const manifest = await document(blobs, {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer }],
  })
  await writeFile(join(home, 'layout/oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const annotations = { 'org.opencontainers.image.ref.name': 'latest' }
  const top = { mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest, annotations }
  await writeFile(join(home, 'layout/index.json'), JSON.stringify({ schemaVersion: 2, manifests: [top] }))
  const ends: (() => unknown)[] = []
  const registry = await startRegistry({ teardown: (end) => void ends.push(end) })
  const ref = `${registry.host}/debian:bench`
  await skopeoCopy(`oci:${join(home, 'layout')}:latest`, `docker://${ref}`)
  return {
    ref,
    blob: join(blobs, layer.digest.slice(7)),
    files: names.length,
    bytes,
    packed: layer.size,
    async close() {
      for (const end of ends.reverse()) await end()
    },
  }
}

/** Files of /usr, spread over all of it, and so many of them that their sizes come near to what is wanted. */
async function chooseFiles(): Promise<string[]> {
  const { stdout } = await run('find', ['/usr', '-xdev', '-type', 'f', '-size', '-16M', '-printf', '%s %P\n'], {
    maxBuffer: 2 ** 28,
  })
  const all = stdout.split('\n').flatMap((line) => {
    const space = line.indexOf(' ')
    return space < 0 ? [] : [{ size: Number(line.slice(0, space)), name: line.slice(space + 1) }]
  })
  // Those of middling sizes give way until the average fits.
  const step = Math.max(1, all.length / FILES)
  const chosen = Array.from({ length: Math.min(FILES, all.length) }, (_, i) => all[Math.floor(i * step)]!)
  const others = all.filter((file) => !chosen.includes(file)).sort((a, b) => b.size - a.size)
  let bytes = chosen.reduce((sum, { size }) => sum + size, 0)
  while (bytes > BYTES && chosen.length > 0) {
    const largest = chosen.reduce((most, { size }, at) => (size > chosen[most]!.size ? at : most), 0)
    bytes -= chosen.splice(largest, 1)[0]!.size
  }
  while (bytes < BYTES && others.length > 0) {
    const largest = others.shift()!
    chosen.push(largest)
    bytes += largest.size
  }
  return chosen.map(({ name }) => name)
}

interface Descriptor {
  readonly digest: string
  readonly size: number
}

async function put(blobs: string, file: string): Promise<Descriptor> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  const hex = hash.digest('hex')
  await rename(file, join(blobs, hex))
  return { digest: `sha256:${hex}`, size: (await stat(join(blobs, hex))).size }
}

async function document(blobs: string, value: object): Promise<Descriptor> {
  const bytes = Buffer.from(JSON.stringify(value))
  const hex = createHash('sha256').update(bytes).digest('hex')
  await writeFile(join(blobs, hex), bytes)
  return { digest: `sha256:${hex}`, size: bytes.length }
}
