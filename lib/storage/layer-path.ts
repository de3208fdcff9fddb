/** Names of a tar as paths inside a layer. Byte strings, as everywhere in tar/. */

/** What a name means, or why it can't mean anything. */
export type LayerPath = { readonly path: string } | { readonly refused: string }

/**
 * The path of a name in its layer: without `.` and empty components; the layer's root is ''. The unpacker could do
 * without this check, but a name that asks for what lies outside is told from one that finds no place inside.
 */
export function layerPath(name: string, absolute: 'refuse' | 'strip'): LayerPath {
  if (absolute === 'refuse' && name.startsWith('/')) return { refused: 'an absolute name' }
  // Most names are fine as they are.
  const ordinary = !name.startsWith('.') && !name.startsWith('/') && !name.includes('//') && !name.includes('/.')
  const path = ordinary
    ? name.endsWith('/')
      ? name.slice(0, -1)
      : name
    : name
        .split('/')
        .filter((part) => part !== '' && part !== '.')
        .join('/')
  if (!ordinary && path.split('/').includes('..')) return { refused: 'a name with `..`' }
  return { path }
}

/** Marks of AUFS, which the layer format took over (OCI image spec, layer.md, "Whiteouts"). */
const whiteoutPrefix = '.wh.'
const opaqueName = '.wh..wh..opq'
const metadataPrefix = '.wh..wh.'

export type Whiteout =
  /** Hide what lower layers have at `path`. */
  | { readonly kind: 'whiteout'; readonly path: string }
  /** Hide all that lower layers have in the directory at `path`. */
  | { readonly kind: 'opaque'; readonly path: string }
  /** Book-keeping of AUFS: nothing of the layer. */
  | { readonly kind: 'metadata' }

/** What a path says about lower layers; undefined for an ordinary one. */
export function whiteoutOf(path: string): Whiteout | undefined {
  if (!path.includes(whiteoutPrefix)) return undefined
  const slash = path.lastIndexOf('/')
  const name = path.slice(slash + 1)
  if (name === opaqueName) return { kind: 'opaque', path: path.slice(0, Math.max(slash, 0)) }
  if (path.split('/').some((part) => part.startsWith(metadataPrefix))) return { kind: 'metadata' }
  if (!name.startsWith(whiteoutPrefix)) return undefined
  return { kind: 'whiteout', path: path.slice(0, slash + 1) + name.slice(whiteoutPrefix.length) }
}
