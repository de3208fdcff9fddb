/** A runtime that can't be opened: CODE, and words of the message in WORDS. Nothing is left of it. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Runtime } from 'podling'

const { CODE: code, WORDS: words = '', XDG_RUNTIME_DIR: runtimeDirectory = '' } = process.env

t.test(`open fails with ${String(code)}`, async (t) => {
  const error = await Runtime.open().then(
    async (runtime) => runtime.close(),
    (reason: unknown) => reason,
  )
  t.match(error, { code, message: new RegExp(words) })
  const launchers = join(runtimeDirectory, 'podling/launchers')
  t.strictSame(existsSync(launchers) ? readdirSync(launchers) : [], [], 'no launcher is noted')
})
