/** The members of an image archive, one after the other, with limits that a hostile one meets early. */
import type * as TarStream from 'tar-stream'
import type { Extract, Header } from 'tar-stream'
import { PodlingError } from '../errors.js'
import { late } from '../late.js'

const tarStream = late('tar-stream') as () => typeof TarStream

export interface Member {
  /** Clean and relative: `blobs/sha256/ab12`. */
  readonly name: string
  readonly type: 'file' | 'symlink' | 'link' | 'other'
  readonly size: number
  readonly linkName: string
  readonly body: AsyncIterable<Uint8Array>
}

/** An image of 500 layers in docker save's old format has 2000 members. */
const maxMembers = 50_000

type Entry = Extract extends AsyncIterable<infer T> ? T : never

/**
 * Walk through a tar. The body of a member that the loop did not read is passed over.
 * @throws {PodlingError} ARCHIVE_INVALID; what the bytes' source throws is thrown as it is
 */
export async function* tarMembers(bytes: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Member> {
  const tar = tarStream().extract()
  const state: Feed = { failure: undefined }
  const feeding = feed(tar, bytes, state)
  let count = 0
  try {
    for await (const entry of tar) {
      count += 1
      if (count > maxMembers)
        throw new PodlingError('ARCHIVE_INVALID', `${what}: has more than ${String(maxMembers)} members`)
      yield member(entry, state, what)
      await drain(entry)
    }
  } catch (error) {
    if (state.failure !== undefined) throw state.failure
    if (error instanceof PodlingError) throw error
    throw new PodlingError('ARCHIVE_INVALID', `${what}: is not a sound tar archive: ${message(error)}`, {
      cause: error,
    })
  } finally {
    tar.destroy()
    await feeding
  }
  if (state.failure !== undefined) throw state.failure
}

interface Feed {
  /** What the source of the bytes threw. */
  failure: Error | undefined
}

async function feed(tar: Extract, bytes: AsyncIterable<Uint8Array>, state: Feed): Promise<void> {
  const closed = new Promise<void>((resolve) =>
    tar.once('close', () => {
      resolve()
    }),
  )
  try {
    for await (const chunk of bytes) {
      if (tar.destroyed) return
      if (!tar.write(chunk))
        await Promise.race([
          closed,
          new Promise<void>((resolve) =>
            tar.once('drain', () => {
              resolve()
            }),
          ),
        ])
    }
    tar.end(undefined)
  } catch (error) {
    state.failure = error instanceof Error ? error : new Error(String(error))
    tar.destroy(state.failure)
  }
}

function member(entry: Entry, state: Feed, what: string): Member {
  const { header } = entry
  const name = memberName(header.name)
  if (name === undefined) {
    throw new PodlingError(
      'ARCHIVE_INVALID',
      `${what}: the member ${JSON.stringify(header.name)} points out of the archive`,
    )
  }
  return {
    name,
    type: memberType(header),
    size: header.size,
    linkName: header.linkname || '',
    body: body(entry, name, state, what),
  }
}

async function* body(entry: Entry, name: string, state: Feed, what: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of entry as AsyncIterable<Uint8Array>) yield chunk
  } catch (cause) {
    if (state.failure) throw state.failure
    throw new PodlingError('ARCHIVE_INVALID', `${what}: is not a sound tar archive: it is cut off within ${name}`, {
      cause,
    })
  }
}

function memberType({ type }: Header): Member['type'] {
  if (type === 'file' || type === 'contiguous-file') return 'file'
  return type === 'symlink' || type === 'link' ? type : 'other'
}

/** A member's name, cleaned of `./` and double slashes; undefined for one that leaves the archive. */
export function memberName(name: string): string | undefined {
  if (name.startsWith('/')) return undefined
  const parts = name.split('/').filter((part) => part !== '' && part !== '.')
  return parts.includes('..') ? undefined : parts.join('/')
}

/** Where a link within an archive leads; undefined when out of it. */
export function linkTarget(member: Pick<Member, 'name' | 'type' | 'linkName'>): string | undefined {
  if (member.linkName.startsWith('/')) return undefined
  const parts = member.type === 'symlink' ? member.name.split('/').slice(0, -1) : []
  for (const part of member.linkName.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) return undefined
  }
  return parts.join('/')
}

function drain(entry: Entry): Promise<void> {
  return new Promise((resolve, reject) => {
    if (entry.destroyed) {
      resolve()
      return
    }
    entry.once('close', () => {
      resolve()
    })
    entry.once('error', reject)
    entry.resume()
  })
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
