/** What is in a tree, part by part, as a packer tells it. */
import { PodlingError } from '../../errors.js'
import { abortedError } from '../../image/progress.js'
import { PackParser, type PackedEntry, type PackedPart } from './pack-parser.js'
import { readEnd, startOperation, writeEnd, type OpenCopier, type Tree } from './copier.js'

/**
 * Walk a tree. Leaving the loop early ends the packer.
 * @param path where to begin, as a program sees it whose root the tree is: a byte string
 * @param flags of `packFlags`
 * @param signal ends it, also while nothing comes
 * @throws PackFailure, PodlingError ABORTED
 */
export async function* packTree(
  openCopier: OpenCopier,
  tree: Tree,
  path: string,
  flags: number,
  signal?: AbortSignal,
): AsyncGenerator<PackedPart[]> {
  const { input, output } = await openCopier(tree, 'out')
  const source = readEnd(output)
  const giveUp = (): void => {
    source.destroy(abortedError('read a tree', signal!))
  }
  if (signal?.aborted) giveUp()
  signal?.addEventListener('abort', giveUp, { once: true })
  writeEnd(input).end(startOperation(path, flags))
  const parser = new PackParser()
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      const parts = parser.push(chunk)
      yield parts
      if (parts.at(-1)?.is === 'end') return
    }
  } finally {
    signal?.removeEventListener('abort', giveUp)
    source.destroy()
  }
  throw new PodlingError('LAUNCHER_DIED', 'read a tree: the process that reads it was killed')
}

/** What is at each of these paths, which follow no link; in their order, undefined where there is nothing. */
export async function lookUp(
  openCopier: OpenCopier,
  tree: Tree,
  paths: readonly string[],
): Promise<(PackedEntry | undefined)[]> {
  const { input, output } = await openCopier(tree, 'ask')
  const source = readEnd(output)
  const questions = writeEnd(input)
  questions.end(Buffer.concat(['', ...paths].map((path) => startOperation(path, 0))))
  const parser = new PackParser(true)
  const found: (PackedEntry | undefined)[] = []
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      for (const part of parser.push(chunk)) {
        if (part.is === 'end') return found
        if (part.is === 'entry') found.push(part.entry.operation === 'missing' ? undefined : part.entry)
      }
    }
  } finally {
    source.destroy()
    questions.destroy()
  }
  throw new PodlingError('LAUNCHER_DIED', 'look into a tree: the process that looks was killed')
}
