/** Every layer is on disk as its blob has it, and is held by something that is there. */
import { open, readdir } from 'node:fs/promises'
import { chainIds } from '../../image/digest.js'
import { throwIfAborted } from '../../image/progress.js'
import type { ContentStore } from '../content.js'
import type { OpenCopier } from '../copy/copier.js'
import { compressionOf } from '../image-store.js'
import type { ImageRecord } from '../image.js'
import type { LayerSource } from '../layer-types.js'
import type { Layers } from '../layers.js'
import { hashTree } from './hash-tree.js'
import type { Findings } from './report.js'

export interface LayerCheckParts {
  readonly content: ContentStore
  readonly layers: Layers
  readonly openCopier: OpenCopier
  /** Blobs that were found to be sound. */
  readonly sound: ReadonlySet<string>
  /** Whether a holder of layers is there: `image:<uuid>` or `container:<id>`. */
  readonly isThere: (holder: string) => boolean
}

export async function checkLayers(
  records: readonly ImageRecord[],
  parts: LayerCheckParts,
  findings: Findings,
): Promise<number> {
  await checkReferences(parts, findings)
  const sources = await sourcesOf(records, parts)
  const { layers } = parts
  for (const chainId of layers.list()) {
    throwIfAborted('check the root', findings.signal)
    await checkLayer(chainId, sources.get(chainId), parts, findings)
  }
  return layers.list().length
}

async function checkReferences({ layers, isThere }: LayerCheckParts, findings: Findings): Promise<void> {
  for (const { chainId, holder } of layers.references()) {
    const above = /^layer:(.*)$/.exec(holder)?.[1]
    const there = above === undefined ? isThere(holder) : layers.has(above)
    if (there && layers.has(chainId)) continue
    const why = there ? 'there is no such layer' : 'that is not there'
    await findings.add('reference-orphaned', chainId, `held by ${holder}: ${why}`, () =>
      layers.release(chainId, holder),
    )
  }
  const held = new Set(layers.references().map(({ chainId }) => chainId))
  for (const chainId of layers.list()) {
    if (held.has(chainId)) continue
    await findings.add('layer-orphaned', chainId, 'nobody needs it', async () => {
      await layers.prune()
    })
  }
}

/** What each layer can be made of anew. */
async function sourcesOf(
  records: readonly ImageRecord[],
  { content, sound }: LayerCheckParts,
): Promise<Map<string, LayerSource>> {
  const sources = new Map<string, LayerSource>()
  for (const record of records) {
    const chain = chainIds(record.layers.map(({ diffId }) => diffId))
    for (const [position, { digest, diffId }] of record.layers.entries()) {
      const chainId = chain[position]!
      const parent = chain[position - 1]
      if (sources.has(chainId) || !sound.has(digest)) continue
      const compression = await compressionOf(content, digest)
      const blob = content.path(digest)
      sources.set(chainId, { diffId, blob, compression, ...(parent === undefined ? {} : { parent }) })
    }
  }
  return sources
}

async function checkLayer(
  chainId: string,
  source: LayerSource | undefined,
  { layers, openCopier }: LayerCheckParts,
  findings: Findings,
): Promise<void> {
  const { format } = layers
  const place = layers.directory(chainId)
  const there = await isDirectory(place)
  if (source === undefined) {
    // Without its blob there is nothing to compare it with; that the blob is missing has been told.
    if (!there) await findings.add('layer-missing', chainId, 'and so is its blob; pull or load its image again')
    return
  }
  const users = containersOn(chainId, layers)
  await layers.remake(source, async (anew) => {
    if (!there) {
      await findings.add('layer-missing', chainId, 'its files are gone', () => Promise.resolve())
      return findings.repair
    }
    const times = format.name === 'directory'
    const hash = (directory: string): Promise<string> => hashTree(openCopier, format.place(directory), { times })
    const same = await hash(place).then(async (old) => old === (await hash(anew))).catch(() => false) // prettier-ignore
    if (same) return false
    if (users.length > 0) {
      await findings.add(
        'layer-altered',
        chainId,
        `its files have changed; remove the containers ${users.join(', ')} first`,
      )
      return false
    }
    await findings.add('layer-altered', chainId, 'its files have changed', () => Promise.resolve())
    return findings.repair
  })
}

/** The containers that stand on a layer, directly or by those above it. */
function containersOn(chainId: string, layers: Layers): string[] {
  const found: string[] = []
  const references = layers.references()
  const visit = (id: string): void => {
    for (const { holder } of references.filter((one) => one.chainId === id)) {
      const [, kind, name = ''] = /^(container|layer):(.*)$/.exec(holder) ?? []
      if (kind === 'container') found.push(name.slice(0, 12))
      if (kind === 'layer') visit(name)
    }
  }
  visit(chainId)
  return found
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    const handle = await open(path, 'r')
    await handle.close()
    return (await readdir(path)).length > 0
  } catch {
    return false
  }
}
