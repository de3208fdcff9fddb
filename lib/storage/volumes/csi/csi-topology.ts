/** Where volumes can be reached from: "Topology" in the specification, segments such as `zone` by their names. Pure. */

export interface Topology {
  readonly segments?: Readonly<Record<string, string>>
}

/** What CreateVolume is asked: that this node reaches the volume. */
export function requirementOf(node: Topology | undefined): object | undefined {
  if (Object.keys(node?.segments ?? {}).length === 0) return undefined
  return { requisite: [node], preferred: [node] }
}

/** Whether a node reaches a volume: it is within one of the places that the volume is reached from. None: from everywhere. */
export function reaches(node: Topology | undefined, places: readonly Topology[]): boolean {
  const own = node?.segments ?? {}
  return (
    places.length === 0 ||
    places.some(({ segments = {} }) => Object.entries(segments).every(([name, value]) => own[name] === value))
  )
}

/** `zone=a, rack=1 or zone=b` */
export function describePlaces(places: readonly Topology[]): string {
  return places
    .map(({ segments = {} }) =>
      Object.entries(segments)
        .map(([name, value]) => `${name}=${value}`)
        .join(', '),
    )
    .join(' or ')
}
