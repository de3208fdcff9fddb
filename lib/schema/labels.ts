/**
 * Whether a thing has all labels that a filter asks for, each `'key'` or `'key=value'`. Pure.
 * @param wanted @default none
 */
export function hasLabels(
  labels: Readonly<Record<string, string>>,
  wanted: string | readonly string[] | undefined,
): boolean {
  return [wanted ?? []].flat().every((text) => {
    const [key = '', ...value] = text.split('=')
    return Object.hasOwn(labels, key) && (value.length === 0 || labels[key] === value.join('='))
  })
}
