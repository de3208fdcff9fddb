import { createHash } from 'node:crypto'
import { stat, utimes, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { FileDigests } from '../../lib/container/checkpoint/file-digests.js'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

t.test('a file that was changed is hashed anew, whatever its size and times say', async (t) => {
  const path = `${t.testdir()}/file`
  const digests = new FileDigests()
  await writeFile(path, 'one')
  t.equal(await digests.of(path), sha256('one'))
  await writeFile(path, 'two')
  t.equal(await digests.of(path), sha256('two'), 'within the grain of the clock')
  const { atime, mtime } = await stat(path)
  await delay(1100)
  t.equal(await digests.of(path), sha256('two'))
  t.equal(await digests.of(path), sha256('two'), 'known')
  await writeFile(path, 'six')
  await utimes(path, atime, mtime)
  await delay(1100)
  t.equal(await digests.of(path), sha256('six'))
})

t.test('a file that is not there', async (t) => {
  await t.rejects(new FileDigests().of(`${t.testdir()}/none`), { code: 'ENOENT' })
})
