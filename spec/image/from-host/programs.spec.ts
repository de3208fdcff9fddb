import { chmod, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { HostFiles } from '../../../lib/image/from-host/host-files.js'
import { findProgram, parseShebang, withInterpreters } from '../../../lib/image/from-host/programs.js'
import { makeElf } from './make-elf.js'

t.test('programs are looked for along the path', async (t) => {
  const root = t.testdir({ one: { tool: 'not executable', directory: {} }, two: { tool: '' }, three: { tool: '' } })
  await chmod(join(root, 'two/tool'), 0o755)
  await chmod(join(root, 'three/tool'), 0o755)
  const search = { path: [join(root, 'one'), join(root, 'two'), join(root, 'three')], execPath: join(root, 'two/tool') }
  const host = new HostFiles()
  t.equal(await findProgram('tool', host, search), join(root, 'two/tool'))
  t.equal(await findProgram('node', host, search), join(root, 'two/tool'), 'the running Node in the place of node')
  await t.rejects(findProgram('nothing', host, search), {
    code: 'HOST_PROGRAM_NOT_FOUND',
    message: `program nothing of the host: not found in ${search.path.join(', ')}`,
  })
  await t.rejects(findProgram('directory', host, search), { code: 'HOST_PROGRAM_NOT_FOUND' })
  await t.rejects(findProgram(join(root, 'one/tool'), host, search), { message: /it is not an executable file/ })
  await t.rejects(findProgram('/none/x', host, search), {
    message: /\/none\/x of the host: no such file/,
    path: '/none/x',
  })
  await t.rejects(findProgram('x', host, { ...search, path: [] }), { message: /an empty path/ })
})

t.test('first lines of scripts', async (t) => {
  const parse = (text: string): unknown => parseShebang(Buffer.from(text))
  t.strictSame(parse('#!/bin/sh\necho'), { interpreter: '/bin/sh' })
  t.strictSame(parse('#! /bin/sh -e'), { interpreter: '/bin/sh' })
  t.strictSame(parse('#!/usr/bin/env node\n'), { interpreter: '/usr/bin/env', program: 'node' })
  t.strictSame(parse('#!/usr/bin/env -S A=1 node --x\n'), { interpreter: '/usr/bin/env', program: 'node' })
  t.strictSame(parse('#!/usr/bin/env\n'), { interpreter: '/usr/bin/env' })
  for (const text of ['', '#', '#!\n', 'echo', '#! \n']) t.equal(parse(text), undefined, JSON.stringify(text))
})

t.test('interpreters of scripts', async (t) => {
  const root = t.testdir()
  const file = async (name: string, content: string | Buffer): Promise<string> => {
    await writeFile(join(root, name), content, { mode: 0o755 })
    return join(root, name)
  }
  const search = { path: [root], execPath: '/none' }
  const engine = await file('engine', makeElf({}))
  const env = await file('env', makeElf({}))
  const script = await file('script', `#!${engine} -x\n`)
  const byEnv = await file('by-env', `#!${env} script\n`)
  t.strictSame(await withInterpreters(byEnv, new HostFiles(), search), [byEnv, env, script, engine])
  const orphan = await file('orphan', '#!/none/engine\n')
  await t.rejects(withInterpreters(orphan, new HostFiles(), search), {
    code: 'HOST_PROGRAM_NOT_FOUND',
    message: `program /none/engine of the host, which the script ${orphan} asks for: no such file`,
  })
  const text = await file('text', 'hello')
  await t.rejects(withInterpreters(text, new HostFiles(), search), { code: 'HOST_PROGRAM_INVALID', path: text })
  await symlink('loop', join(root, 'loop'))
  await t.rejects(findProgram(join(root, 'loop'), new HostFiles(), search), { code: 'HOST_PROGRAM_NOT_FOUND' })
  let last = engine
  for (let depth = 0; depth < 8; depth++) last = await file(`deep${String(depth)}`, `#!${last}\n`)
  await t.rejects(withInterpreters(last, new HostFiles(), search), { code: 'HOST_PROGRAM_INVALID' })
})
