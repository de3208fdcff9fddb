/**
 * A keyword that checks one value by a function of ours. It returns what is wrong (`must be …`), or undefined.
 * It is only asked where the `type` beside it holds.
 */
export interface FaultKeyword {
  readonly keyword: string
  readonly type?: 'string' | 'number' | 'object' | 'array' | readonly ('string' | 'number')[]
  readonly fault: (value: unknown, schema: unknown) => string | undefined
}
