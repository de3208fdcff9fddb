/**
 * The name of `names` that is most likely meant by a misspelt one, for `did you mean …?`. Letters that are missing, too
 * many, wrong or swapped count as one slip each; a name more than a third wrong is not offered.
 */
export function nearestName(wrong: string, names: Iterable<string>): string | undefined {
  const plain = simplify(wrong)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(plain.length / 3)) + 1
  for (const name of names) {
    const distance = slips(plain, simplify(name), bestDistance)
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

function simplify(name: string): string {
  return name.toLowerCase().replace(/[-_ ]/g, '')
}

/** Damerau-Levenshtein distance (optimal string alignment); `limit` or more when it is not below that. */
function slips(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, beforeLast[j - 2]! + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
