/**
 * What differs between machines in how libraries are found: names of directories, and how images call the machine.
 */
import type { Elf } from './elf.js'

interface Machine {
  /** GOARCH, as OCI image configs name it. */
  readonly architecture: string
  /** Debian's multiarch tuples of its libraries, most usual first. */
  readonly tuples: readonly string[]
  /** What ld.so puts in the place of `$PLATFORM` (getauxval(3), AT_PLATFORM). */
  readonly platform: string
  /** The `flags` of a library's entry in ld.so.cache: FLAG_ELF_LIBC6 and the machine's own bits. */
  readonly cacheFlags: number
}

const machines: Readonly<Record<string, Machine>> = {
  '3/32/le': { architecture: '386', tuples: ['i386-linux-gnu'], platform: 'i686', cacheFlags: 0x0003 },
  '62/64/le': { architecture: 'amd64', tuples: ['x86_64-linux-gnu'], platform: 'x86_64', cacheFlags: 0x0303 },
  '62/32/le': { architecture: 'amd64', tuples: ['x86_64-linux-gnux32'], platform: 'x86_64', cacheFlags: 0x0803 },
  '183/64/le': { architecture: 'arm64', tuples: ['aarch64-linux-gnu'], platform: 'aarch64', cacheFlags: 0x0a03 },
  '40/32/le': {
    architecture: 'arm',
    tuples: ['arm-linux-gnueabihf', 'arm-linux-gnueabi'],
    platform: 'v7l',
    cacheFlags: 0x0903,
  },
  '21/64/le': { architecture: 'ppc64le', tuples: ['powerpc64le-linux-gnu'], platform: 'power8', cacheFlags: 0x0503 },
  '22/64/be': { architecture: 's390x', tuples: ['s390x-linux-gnu'], platform: 'z13', cacheFlags: 0x0403 },
  '243/64/le': { architecture: 'riscv64', tuples: ['riscv64-linux-gnu'], platform: '', cacheFlags: 0x1003 },
}

/** Names the kind of a file: two ELF files can be in one process only if theirs are equal. */
export function machineKey(elf: Elf): string {
  return `${String(elf.machine)}/${String(elf.bits)}/${elf.littleEndian ? 'le' : 'be'}`
}

/** The OCI name of an ELF file's machine, `amd64`; undefined for one that Podling has no name for. */
export function architectureOf(elf: Elf): string | undefined {
  return machines[machineKey(elf)]?.architecture
}

/** `$PLATFORM` in a search path; undefined makes the path useless, as in ld.so. */
export function platformOf(elf: Elf): string | undefined {
  return machines[machineKey(elf)]?.platform
}

/** FLAG_ELF_LIBC6 with the machine's bits, as ldconfig writes it; undefined where Podling doesn't know it. */
export function cacheFlagsOf(elf: Elf): number | undefined {
  return machines[machineKey(elf)]?.cacheFlags
}

/**
 * The directories that glibc's loader is built to search. Distributions differ (Debian: multiarch; Fedora: lib64;
 * Arch: lib); all are listed, as a library of another machine that is found in one of them is passed over anyway.
 */
export function defaultDirectories(elf: Elf): string[] {
  const tuples = machines[machineKey(elf)]?.tuples ?? []
  return [
    ...tuples.flatMap((tuple) => [`/lib/${tuple}`, `/usr/lib/${tuple}`]),
    ...(elf.bits === 64 ? ['/lib64', '/usr/lib64'] : ['/lib32', '/usr/lib32']),
    '/lib',
    '/usr/lib',
  ]
}
