import t, { type Test } from 'tap'
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  headSize,
  operationSize,
  packFlags,
  unpackFlags,
  unpackOperations,
  unpackVersion,
  writeInteger,
  writeOperation,
  type Head,
  type UnpackOperation,
} from '../../lib/storage/unpack-operations.js'
import { parseUnpackStatus } from '../../lib/storage/unpack-status.js'
import { temporaryDirectory } from '../fixtures/directory.js'
import { helper } from '../fixtures/unpacker.js'

const header = readFileSync(fileURLToPath(new URL('../../../native/unpack.h', import.meta.url)), 'utf8')

const packHeader = readFileSync(fileURLToPath(new URL('../../../native/pack.h', import.meta.url)), 'utf8')

t.test('both sides have the same operations', (t) => {
  const numbers = (file: string, list: string, prefix: string): Record<string, number> => {
    const [, body = ''] = new RegExp(`^enum ${list} \\{\n(.*?)^\\};`, 'ms').exec(file) ?? []
    const found = [...body.matchAll(new RegExp(`^ {2}${prefix}_([A-Z_]+) = ([0-9]+),`, 'gm'))]
    const camel = (name: string): string => name.toLowerCase().replace(/_(.)/g, (_, one: string) => one.toUpperCase())
    return Object.fromEntries(found.map(([, name, number]) => [camel(name!), Number(number)]))
  }
  t.strictSame(numbers(header, 'unpack_operation', 'UNPACK'), unpackOperations)
  t.strictSame(numbers(header, 'unpack_flags', 'UNPACK'), unpackFlags)
  t.strictSame(numbers(packHeader, 'pack_flags', 'PACK'), packFlags)
  t.match(header, `#define UNPACK_VERSION ${String(unpackVersion)}\n`)
  t.match(header, `sizeof(struct unpack_head) == ${String(headSize)}`)
  t.end()
})

t.test('64 bits', (t) => {
  const buffer = Buffer.alloc(8)
  for (const value of [
    0,
    1,
    -1,
    2 ** 32,
    -(2 ** 32),
    -(2 ** 40) - 5,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ]) {
    writeInteger(buffer, 0, value)
    t.equal(Number(buffer.readBigInt64LE()), value)
  }
  t.end()
})

const start = operation('start', { mode: unpackVersion })
const end = operation('end', {})

function operation(name: UnpackOperation, head: Head): Buffer {
  const buffer = Buffer.alloc(operationSize(head))
  writeOperation(buffer, 0, name, head)
  return buffer
}

/** Run the unpacker on raw bytes. @returns its status, and how it ended */
async function unpack(directory: string, ...parts: Buffer[]): Promise<{ status: Buffer; exit: unknown }> {
  const child = spawn(helper, ['unpack', directory], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exit = new Promise((resolve) =>
    child.once('close', (code, signal) => {
      resolve(code ?? signal)
    }),
  )
  child.stdin.on('error', () => undefined)
  child.stdin.end(Buffer.concat(parts))
  return { status: Buffer.concat((await child.stdout.toArray()) as Buffer[]), exit: await exit }
}

async function fails(t: Test, parts: Buffer[], expected: object): Promise<void> {
  const outer = await temporaryDirectory(t)
  const directory = join(outer, 'inside')
  mkdirSync(directory)
  writeFileSync(join(outer, 'secret'), 'secret')
  const { status, exit } = await unpack(directory, ...parts)
  t.match(parseUnpackStatus(status), expected)
  t.equal(exit, 1)
  t.strictSame(readdirSync(outer).sort(), ['inside', 'secret'])
  t.equal(readFileSync(join(outer, 'secret'), 'utf8'), 'secret')
}

t.test('an unpacker reports how it went', async (t) => {
  const directory = await temporaryDirectory(t)
  const { status, exit } = await unpack(directory, start, operation('directory', { path: 'a', mode: 0o755 }), end)
  t.equal(parseUnpackStatus(status), undefined)
  t.equal(exit, 0)
  t.strictSame(readdirSync(directory), ['a'])
  const nowhere = await unpack('/nowhere', start, end)
  t.match(parseUnpackStatus(nowhere.status), { syscall: 'chdir', errno: 'ENOENT' })
  t.match(parseUnpackStatus(Buffer.from('ok')), undefined)
  t.match(parseUnpackStatus(Buffer.alloc(0)), { errno: 'EPIPE' })
  t.match(parseUnpackStatus(Buffer.from('failed\0file\0write\0' + '28\0a/b')), { errno: 'EPIPE' })
})

t.test('whatever an unpacker is told, it stays inside', async (t) => {
  for (const path of ['../secret', '..', '.', 'a/..', 'a/../../x', '/etc/x', '', 'a/', '/']) {
    await fails(t, [start, operation('file', { path }), end], { operation: 'file' })
    const there = operation('directory', { path: 'a', mode: 0o755 })
    await fails(t, [start, there, operation('remove', { path }), end], { operation: 'remove' })
    await fails(t, [start, operation('whiteout', { path }), end], { operation: 'whiteout' })
  }
  const away = operation('symlink', { path: 'l', link: '..' })
  for (const name of ['file', 'directory', 'symlink', 'fifo', 'whiteout', 'opaque'] as const) {
    await fails(t, [start, away, operation(name, { path: 'l/x' }), end], { operation: name, errno: 'EXDEV' })
  }
  await fails(t, [start, away, operation('remove', { path: 'l/secret' }), end], { errno: 'ELOOP' })
  await fails(t, [start, away, operation('hardlink', { path: 'x', link: 'l/secret' }), end], { errno: 'EXDEV' })
  await fails(t, [start, operation('hardlink', { path: 'x', link: '../secret' }), end], { errno: 'EXDEV' })
  await fails(t, [start, operation('hardlink', { path: 'x', link: '..' }), end], { errno: 'EXDEV' })
})

t.test('a stream that makes no sense', async (t) => {
  const wrong = Buffer.from(start)
  wrong.writeUInt32LE(99, 0)
  await fails(t, [end], { errno: 'EPROTO' })
  await fails(t, [operation('start', { mode: 7 })], { errno: 'EPROTO' })
  await fails(t, [start, wrong], { operation: 'unknown operation', errno: 'EBADMSG' })
  await fails(t, [start, start], { errno: 'EBADMSG' })
  await fails(t, [start], { errno: 'EPIPE' })
  await fails(t, [start, end.subarray(0, 20)], { errno: 'EPIPE' })
  await fails(t, [start, operation('file', { path: 'x'.repeat(5000) }), end], { errno: 'ENAMETOOLONG' })
  await fails(t, [start, operation('file', { path: 'a\0b' }), end], { errno: 'EBADMSG' })
  await fails(t, [start, operation('file', { path: 'x', xattrs: Buffer.from('xx') }), end], { errno: 'EBADMSG' })
  await fails(t, [start, operation('file', { path: 'x', xattrs: Buffer.alloc(300_000) }), end], { errno: 'E2BIG' })
  const chunk = (offset: number, length: number): Buffer => {
    const buffer = Buffer.alloc(16)
    writeInteger(buffer, 0, offset)
    writeInteger(buffer, 8, length)
    return buffer
  }
  await fails(t, [start, operation('file', { path: 'x', size: 5, chunks: 1 }), chunk(0, 6), Buffer.alloc(6), end], {
    errno: 'EBADMSG',
  })
  await fails(t, [start, operation('file', { path: 'x', size: 5, chunks: 1 }), chunk(-1, 1), Buffer.alloc(1), end], {
    errno: 'EBADMSG',
  })
  await fails(
    t,
    [
      start,
      operation('file', { path: 'x', size: 5, chunks: 2 }),
      chunk(2, 1),
      Buffer.alloc(1),
      chunk(1, 1),
      Buffer.alloc(1),
      end,
    ],
    { errno: 'EBADMSG' },
  )
  await fails(t, [start, operation('file', { path: 'x', size: -1 }), end], { errno: 'EFBIG' })
})
