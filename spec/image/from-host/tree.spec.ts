import t from 'tap'
import { addContent } from '../../../lib/image/from-host/layout.js'
import { parseFromHostOptions, type FromHostOptions } from '../../../lib/image/from-host/options.js'
import { Tree } from '../../../lib/image/from-host/tree.js'

t.test('paths are resolved through the links of the tree', async (t) => {
  const tree = new Tree()
  tree.put('/lib', { type: 'link', target: 'usr/lib' })
  tree.put('/lib', { type: 'directory', mode: 0o755 })
  tree.put('/up', { type: 'link', target: '/../usr/./lib/../share' })
  addContent(tree, '/lib/a/b', 'x')
  addContent(tree, '/up/c', 'y')
  t.strictSame(
    tree.entries().map(([path, { type }]) => `${type} ${path}`),
    [
      'link /lib',
      'link /up',
      'directory /usr',
      'directory /usr/lib',
      'directory /usr/lib/a',
      'file /usr/lib/a/b',
      'directory /usr/share',
      'file /usr/share/c',
    ],
  )
  tree.put('/deep/link', { type: 'link', target: '/usr/lib' })
  t.equal(tree.put('/deep/link/d', { type: 'link', target: 'x' }), '/usr/lib/d')
  tree.put('/round', { type: 'link', target: 'round' })
  t.throws(
    () => {
      addContent(tree, '/round/x', '')
    },
    { code: 'INVALID_OPTION', message: /goes round in links/ },
  )
})

t.test('a path is one thing', async (t) => {
  const tree = new Tree()
  addContent(tree, '/etc/a', '1')
  addContent(tree, '/etc/a', '22')
  t.match(tree.get('/etc/a'), { size: 2 }, 'the later file wins')
  t.throws(
    () => {
      addContent(tree, '/etc/a/b', '')
    },
    { code: 'INVALID_OPTION', message: /\/etc\/a of the image would be both a directory and a file/ },
  )
  t.throws(
    () => {
      addContent(tree, '/etc', '')
    },
    { code: 'INVALID_OPTION' },
  )
  t.throws(() => tree.put('/etc/a', { type: 'directory', mode: 0o755 }), { code: 'INVALID_OPTION' })
})

t.test('a layer lists what differs, and the directories above it with their modes', async (t) => {
  const base = new Tree()
  base.put('/tmp', { type: 'directory', mode: 0o1777 })
  addContent(base, '/etc/same', 'same')
  const layer = new Tree(base)
  addContent(layer, '/etc/same', 'same')
  t.ok(layer.empty)
  addContent(layer, '/tmp/x', '')
  t.strictSame(
    layer.entries().map(([path]) => path),
    ['/tmp', '/tmp/x'],
  )
  t.match(layer.entries()[0]![1], { mode: 0o1777 })
})

t.test('keys follow the content', async (t) => {
  const key = (content: string, mode?: number): string => {
    const tree = new Tree()
    addContent(tree, '/a', content, mode)
    return tree.key('1')
  }
  t.equal(key('x'), key('x'))
  t.not(key('x'), key('y'))
  t.not(key('x'), key('x', 0o600))
})

t.test('mistakes of options are told all at once', async (t) => {
  const options = {
    binaries: ['', 'node'],
    files: ['relative', { to: '/x' }, { from: '/a', to: 'b', mode: 0o4755 }, { content: 5, to: '/c' }, null],
    directories: 'x',
    links: { a: '' },
    path: ['.'],
    config: { env: ['NOVALUE'], Cmd: ['x'] },
    binary: 'node',
  } as unknown as FromHostOptions
  t.throws(() => parseFromHostOptions(options), {
    code: 'INVALID_OPTION',
    message: new RegExp(
      [
        'binaries\\[0\\]: must be a text',
        'directories: must be a list, got "x"',
        'files\\[1\\]: must have one of from and content',
        'files\\[2\\].to: must be an absolute path, got "b"',
        'files\\[2\\].mode: must be 0..0o777, got 2541',
        'files\\[3\\].content: must be a string or bytes, got 5',
        'files\\[0\\]: must be an absolute path, got "relative"',
        'files\\[4\\]: must be an absolute path, got null',
        'links\\["a"\\]: must be an absolute path',
        'path\\[0\\]',
        'config.env\\[0\\]: must be KEY=value, got "NOVALUE"',
        'config.Cmd: is not known; write cmd',
        'binary: is not known; use binaries, files,',
      ]
        .map((part) => `(?=[\\s\\S]*${part})`)
        .join(''),
    ),
  })
})
