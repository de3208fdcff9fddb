import t from 'tap'
import { mountWords, parseMountOptions } from '../../../lib/launch/compile/mount-options.js'

t.test('words are told apart', async (t) => {
  t.strictSame(parseMountOptions(['rbind', 'ro', 'nosuid', 'noexec', 'nodev', 'rslave']), {
    attributes: { readOnly: true, noSuid: true, noExec: true, noDev: true },
    recursive: {},
    propagation: 'slave',
    bind: 'rbind',
    copyUp: false,
    data: [],
  })
  t.strictSame(parseMountOptions(['mode=755', 'size=64m', 'tmpcopyup', 'defaults']).data, ['mode=755', 'size=64m'])
  t.equal(parseMountOptions(['tmpcopyup']).copyUp, true)
})

t.test('a later word wins', async (t) => {
  t.equal(parseMountOptions(['ro', 'rw']).attributes.readOnly, false)
  t.equal(parseMountOptions(['noatime', 'strictatime']).attributes.accessTime, 'strictatime')
})

t.test('words of an object are no options', async (t) => {
  t.strictSame(parseMountOptions(['constructor', '__proto__']).data, ['constructor', '__proto__'])
})

t.test(
  'words for all that is mounted below set what those without do, and are none of the file system’s',
  async (t) => {
    const { attributes, data } = parseMountOptions(['rbind', 'rro', 'rnosuid', 'rnoatime', 'rnosymfollow'])
    t.strictSame(attributes, { readOnly: true, noSuid: true, accessTime: 'noatime', noSymFollow: true })
    t.strictSame(data, [])
    t.strictSame(parseMountOptions(['rbind', 'ro', 'rnosuid']).recursive, { noSuid: true }, 'and are told apart')
    t.ok(mountWords.includes('rro') && mountWords.includes('rrelatime'))
  },
)
