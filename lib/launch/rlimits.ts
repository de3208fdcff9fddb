/** Resource limits by name and number (getrlimit(2), asm-generic/resource.h: the same on x86-64 and arm64). Pure. */

export const rlimitNumbers: Readonly<Record<string, number>> = {
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
}

/** `'RLIMIT_NOFILE'` for 7. */
export function rlimitName(number: number): string {
  return Object.keys(rlimitNumbers).find((name) => rlimitNumbers[name] === number) ?? String(number)
}

/**
 * No limit, in an OCI spec: 2^64-1 there, which a JavaScript number rounds to 2^64. JSON text with the exact number is
 * made by `formatSpec`.
 */
export const unlimited = 2 ** 64

const RLIM_INFINITY = 2n ** 64n - 1n

/** The value that the kernel takes for one of a spec. */
export function rlimitValue(value: number): bigint {
  return value >= 2 ** 63 ? RLIM_INFINITY : BigInt(value)
}
