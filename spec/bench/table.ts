/** Numbers into one Markdown table. Pure. */

/** One line of the table: what was measured, how often, and what to compare it with. */
export interface Row {
  readonly trial: string
  readonly subject: string
  /** `ms`, `MB/s`, `containers/s`, `KB` ... */
  readonly unit: string
  readonly samples: readonly number[]
  /** Samples of the floor, for the ratio of the medians. */
  readonly floor?: readonly number[]
  /** What the project wants to reach, in words. A timing never fails anything. */
  readonly aim?: string
}

/** The value below which a share of the samples lies (nearest rank); NaN when there are none. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}

/** Three digits that matter, and no more than two behind the point. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return ''
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toFixed(digits)
}

const HEAD = ['trial', 'subject', 'runs', 'p50', 'p95', 'unit', '× floor', 'aim'] as const
/** Columns of numbers stand to the right. */
const NUMERIC = new Set([2, 3, 4, 6])

function cells(row: Row): string[] {
  return [
    row.trial,
    row.subject,
    String(row.samples.length),
    figure(median(row.samples)),
    figure(percentile(row.samples, 0.95)),
    row.unit,
    row.floor === undefined ? '' : figure(median(row.samples) / median(row.floor)),
    row.aim ?? '',
  ]
}

/** A Markdown table whose columns are as wide as their widest cell, so that it reads well as plain text too. */
export function markdown(rows: readonly Row[]): string {
  const lines = [[...HEAD], ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(3, ...lines.map((line) => (line[column] ?? '').length)))
  const render = (line: readonly string[]): string =>
    `| ${line.map((cell, i) => (NUMERIC.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, i) => (NUMERIC.has(i) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)))
  const [head = [], ...body] = lines
  return [render(head), render(rule), ...body.map(render)].join('\n')
}
