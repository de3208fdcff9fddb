/**
 * The native unpacker under AddressSanitizer and UndefinedBehaviorSanitizer: whatever it is told, it touches no memory that
 * is not its own, ends in order, and changes nothing outside of its directory.
 */
import { execFileSync, spawn } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { encodeXattrs } from '../../lib/storage/layer-operations.js'
import {
  operationSize,
  unpackOperations,
  unpackVersion,
  writeInteger,
  writeOperation,
  type Head,
  type UnpackOperation,
} from '../../lib/storage/unpack-operations.js'
import { parseUnpackStatus } from '../../lib/storage/unpack-status.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { fuzz } from '../fixtures/fuzz.js'
import { helperSources, objects, sources } from '../fixtures/helper-sources.js'
import type { RandomSource } from '../fixtures/random.js'
import { needs } from '../peers.js'

t.test('streams of operations, sound and damaged', needs('root'), async (t) => {
  const outer = await temporaryDirectory(t)
  const helper = join(outer, 'helper')
  const main = join(outer, 'helper.c')
  writeFileSync(
    main,
    'int unpack_main(int, int, const char *);\nint main(int c, char **v) { return unpack_main(0, 1, v[c - 1]); }\n',
  )
  // The unpacker is compiled anew; what else it is linked with is as it was built.
  const files = helperSources().filter((name) => name !== 'main.c')
  const inputs = files.map((name) =>
    /^(unpack|layer|common)/.test(name) ? join(sources, name) : join(objects, name.replace(/\.c$/, '.o')),
  )
  const flags = ['-std=gnu11', '-O1', '-g', '-w', '-fPIE', '-D_GNU_SOURCE', '-D_FILE_OFFSET_BITS=64']
  const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all']
  execFileSync('cc', [...flags, ...sanitize, '-o', helper, main, ...inputs])

  const secret = join(outer, 'secret')
  const outcomes = { sound: 0, refused: 0 }
  await fuzz(t, 400, async (random, seed) => {
    const directory = join(outer, `inside-${String(seed)}`)
    mkdirSync(directory)
    writeFileSync(secret, 'secret')
    const bytes = damaged(makeStream(random), random)
    const child = spawn(helper, [directory], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // It has no /proc to look for leaks in, and ends anyway.
      env: { ASAN_OPTIONS: 'detect_leaks=0' },
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(bytes)
    const ended = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        resolve(code ?? signal)
      }),
    )
    const [status, complaint] = await Promise.all([child.stdout.toArray(), text(child.stderr)])
    const failure = parseUnpackStatus(Buffer.concat(status as Buffer[]))
    const exit = await ended
    if (complaint.includes('Sanitizer') || complaint.includes('runtime error')) throw new Error(complaint)
    if (exit !== (failure === undefined ? 0 : 1)) throw new Error(`it ended with ${String(exit)}: ${complaint}`)
    outcomes[failure === undefined ? 'sound' : 'refused']++
    const others = readdirSync(outer).filter(
      (name) => !name.startsWith('inside-') && !['helper', 'helper.c', 'secret'].includes(name),
    )
    if (others.length > 0) throw new Error(`made outside: ${others.join(', ')}`)
    if (readFileSync(secret, 'utf8') !== 'secret' || lstatSync(secret).nlink !== 1) throw new Error('changed outside')
    await rm(directory, { recursive: true, force: true })
  })
  t.comment(`${String(outcomes.sound)} sound, ${String(outcomes.refused)} refused`)
  if (process.env['PODLING_FUZZ'] === undefined) t.ok(outcomes.sound > 10 && outcomes.refused > 10)
})

const names = ['a', 'b', 'a/b', 'a/b/c', 'l', 'l/x', 'd/e', 'secret', 'n'.repeat(255)]
const escapes = ['..', '../secret', 'l/../x', './a', '/x', '', '.', 'a/..', 'a/../../secret', 'n'.repeat(256), 'a\0b']

function makeStream(random: RandomSource): Buffer {
  const path = (): string => (random.chance(0.04) ? random.pick(escapes) : random.pick(names))
  const link = (): string =>
    random.chance(0.8) ? path() : random.pick(['..', '../secret', '/', 'x'.repeat(random.below(5000))])
  const kinds = (Object.keys(unpackOperations) as UnpackOperation[]).filter(
    (name) => name !== 'start' && name !== 'end',
  )
  const number = (): number => random.pick([0, 1, random.below(70_000), 2 ** 31, 2 ** 32 - 1])
  const parts = [
    operation('start', { mode: unpackVersion, xattrs: encodeXattrs([['trusted.overlay.opaque', Buffer.from('y')]]) }),
  ]
  for (let i = random.below(9); i >= 0; i--) {
    const chunks = makeChunks(random)
    const name = random.chance(0.6)
      ? random.pick(['directory', 'file', 'file', 'symlink', 'hardlink', 'whiteout', 'remove', 'fifo'] as const)
      : random.pick(kinds)
    const head = {
      path: path(),
      link: name === 'symlink' || name === 'hardlink' ? link() : '',
      mode: random.below(0o10000),
      uid: number(),
      gid: number(),
      seconds: random.pick([0, -1, 2 ** 40, 1_700_000_000]),
      nanoseconds: random.pick([0, 999_999_999, 2 ** 32 - 1]),
      major: random.below(300),
      minor: number(),
      ...(random.chance(0.2) ? { xattrs: makeXattrs(random) } : {}),
    }
    if (name !== 'file') parts.push(operation(name, head))
    else parts.push(operation(name, { ...head, size: chunks.size, chunks: chunks.count }), chunks.bytes)
  }
  if (random.chance(0.9)) parts.push(operation('end', {}))
  return Buffer.concat(parts)
}

function makeChunks(random: RandomSource): { size: number; count: number; bytes: Buffer } {
  const parts: Buffer[] = []
  let at = 0
  const count = random.below(4)
  for (let i = 0; i < count; i++) {
    const head = Buffer.alloc(16)
    const length = random.below(3000)
    at += random.chance(0.3) ? random.below(100_000) : 0
    writeInteger(head, 0, at)
    writeInteger(head, 8, length)
    parts.push(head, Buffer.alloc(length, 0x78))
    at += length
  }
  return { size: at + random.below(2) * random.below(5000), count, bytes: Buffer.concat(parts) }
}

function makeXattrs(random: RandomSource): Buffer {
  const sound = encodeXattrs([
    ['user.a', random.bytes(random.below(40))],
    [random.pick(['user.b', 'trusted.overlay.redirect', 'security.capability', 'x', '']), random.bytes(20)],
  ])
  return random.chance(0.5) ? sound : damaged(sound, random)
}

/** Most streams are changed somewhere, mostly in the heads, with numbers that hurt. */
function damaged(bytes: Buffer, random: RandomSource): Buffer {
  if (random.chance(0.5) || bytes.length < 16) return bytes
  for (let i = random.below(4); i >= 0; i--) {
    const at = random.chance(0.7) ? random.below(Math.min(bytes.length, 400)) : random.below(bytes.length)
    switch (random.below(4)) {
      case 0:
        bytes[at] = random.below(256)
        break
      case 1:
        bytes[at]! ^= 1 << random.below(8)
        break
      default:
        bytes.fill(random.pick([0, 0x7f, 0x80, 0xff]), at, Math.min(bytes.length, at + random.pick([1, 2, 4, 8])))
    }
  }
  return random.chance(0.15) ? bytes.subarray(0, random.below(bytes.length)) : bytes
}

function operation(name: UnpackOperation, head: Head): Buffer {
  const buffer = Buffer.alloc(operationSize(head))
  writeOperation(buffer, 0, name, head)
  return buffer
}
