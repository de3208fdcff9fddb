import { join } from 'node:path'
import t from 'tap'
import { readLdConf } from '../../../lib/image/from-host/ld-conf.js'
import { expandWords, searchPathDirectories } from '../../../lib/image/from-host/search-path.js'

const words = { origin: '/opt/app/bin', lib: 'lib/x86_64-linux-gnu', platform: 'x86_64' }

t.test('words of a search path', async (t) => {
  t.strictSame(searchPathDirectories('$ORIGIN/../lib:${ORIGIN}:/usr/$LIB/app/:/p/${PLATFORM}', words), [
    '/opt/app/bin/../lib',
    '/opt/app/bin',
    '/usr/lib/x86_64-linux-gnu/app',
    '/p/x86_64',
  ])
  t.strictSame(searchPathDirectories(':relative:/a;/b/:/', words), ['/a', '/b', '/'])
  t.strictSame(searchPathDirectories(undefined, words), [])
  t.equal(expandWords('/x/$ORIGINAL/$LIBRARY', words), '/x/$ORIGINAL/$LIBRARY')
  t.equal(expandWords('/x/$LIB', { ...words, lib: undefined }), undefined)
})

t.test('ld.so.conf with includes', async (t) => {
  const root = t.testdir({
    'ld.so.conf': 'include conf.d/*.conf # all\n\n/first/\n  /second # why\n/third=libc6\nhwcap 1 x\n',
    'conf.d': { 'b.conf': '/b\n', 'a.conf': '/a\ninclude ../ld.so.conf\n', 'c.txt': '/c\n', '.hidden.conf': '/h\n' },
  })
  const directories = await readLdConf(join(root, 'ld.so.conf'))
  t.strictSame(
    [...new Set(directories)].sort(),
    ['/a', '/b', '/first', '/second', '/third'],
    'a circle of includes ends',
  )
  t.strictSame(await readLdConf(join(root, 'none')), [])
})
