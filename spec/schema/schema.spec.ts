import t from 'tap'
import { formatExactJson, parseExactJson } from '../../lib/schema/exact-json.js'
import { mountSchemas, optionKeywords, optionsSchema } from '../../lib/container/options-schema.js'
import { specSchema } from '../../lib/launch/oci-spec-schema.js'
import { explainer, faultFinder, formatFaults, joinPath, show, type FaultKeyword } from '../../lib/schema/faults.js'
import { fitter } from '../../lib/schema/fits.js'
import { nearestName } from '../../lib/schema/nearest-name.js'
import { shareSchema } from '../../lib/schema/share-schema.js'

t.test('the nearest name', (t) => {
  const names = ['command', 'cpus', 'cpuset', 'capAdd', 'capDrop', 'noNewPrivileges']
  t.equal(nearestName('comand', names), 'command')
  t.equal(nearestName('commnad', names), 'command', 'two letters swapped are one slip')
  t.equal(nearestName('cap_add', names), 'capAdd')
  t.equal(nearestName('NoNewPrivilege', names), 'noNewPrivileges')
  t.equal(nearestName('cpu', names), 'cpus')
  t.equal(nearestName('volumes', names), undefined)
  t.equal(nearestName('', names), undefined)
  t.equal(nearestName('x', []), undefined)
  t.end()
})

t.test('exact numbers', (t) => {
  const keys = new Set(['value'])
  const text =
    '{"value": 18446744073709551615, "other": 18446744073709551615, "s": "\\"value\\": 12345678901234567890", "f": [12345678901234567.5, 0.12345678901234567, 1e1]}'
  t.same(parseExactJson(text, keys), {
    value: 2n ** 64n - 1n,
    other: 2 ** 64,
    s: '"value": 12345678901234567890',
    f: [Number('12345678901234567.5'), Number('0.12345678901234567'), 10],
  })
  t.same(
    parseExactJson('{"value": 1234567890123456}', keys),
    { value: 1234567890123456 },
    'a number where that is exact',
  )
  t.same(parseExactJson('{"value": -12345678901234567890}', keys), { value: -12345678901234567890n })
  t.same(
    parseExactJson('["exact:5", "exact::5", "e\\u0078act:::6", 1234567890123456789]', keys),
    ['exact:5', 'exact::5', 'exact:::6', Number('1234567890123456789')],
    'strings that look like a mark',
  )
  t.equal(formatExactJson(['exact:5', 5n]), '["exact:5",5]')
  t.throws(() => parseExactJson('{"value": 018446744073709551615}', keys), SyntaxError)
  t.equal(
    formatExactJson({ a: 5n, b: 2 ** 64, c: '5n', d: [2n ** 64n - 1n] }),
    '{"a":5,"b":18446744073709551615,"c":"5n","d":[18446744073709551615]}',
  )
  t.end()
})

t.test('faults: paths and sentences', (t) => {
  const find = faultFinder(
    {
      type: 'object',
      member: 'field',
      additionalProperties: false,
      required: ['id'],
      properties: {
        id: { type: ['string', 'integer'] },
        port: { type: 'integer', minimum: 0, maximum: 65535 },
        few: { type: 'array', maxItems: 1, uniqueItems: true, items: { enum: ['only'] } },
        big: { type: 'integer', minimum: 0, maximum: 2 ** 64 },
        map: { type: 'object', additionalProperties: { even: true } },
      },
    },
    [
      {
        keyword: 'even',
        type: 'number',
        fault: (value) => (Number(value) % 2 === 0 ? undefined : `must be even, got ${show(value)}`),
      },
    ],
  )
  const lines = (value: unknown) => find(value).map(({ path, message }) => `${path}: ${message}`)
  t.same(lines({ id: 1, port: 1, few: ['only'], map: { a: 2 } }), [])
  t.same(lines({ port: 70000, few: ['onyl', 'onyl'], prt: 1, big: -1, map: { 'a/b~c': 3, d: 5 } }), [
    'id: is required',
    'prt: unknown field; did you mean port?',
    'port: must be 0..65535, got 70000',
    'few: must be at most 1 long, got ["onyl","onyl"]',
    `few[0]: must be 'only'; got 'onyl'; did you mean 'only'?`,
    `few[1]: must be 'only'; got 'onyl'; did you mean 'only'?`,
    'few: must not hold the same twice',
    'big: must be at least 0, got -1',
    'map["a/b~c"]: must be even, got 3',
    'map.d: must be even, got 5',
  ])
  t.same(lines('x'), [`: must be an object, got 'x'`])
  t.same(lines({ id: true }), ['id: must be a string or a whole number, got true'])
  t.end()
})

t.test('words', (t) => {
  t.equal(joinPath(['a', '0', 'b c', 'd']), 'a[0]["b c"].d')
  t.equal(show(`it's "so"`), `'it\\'s "so"'`)
  t.equal(show('x'.repeat(100)).length, 82)
  t.equal(show({ a: [1n] }), '{"a":["1"]}')
  t.equal(show(undefined), 'undefined')
  t.equal(
    show(() => 1),
    'a function',
  )
  t.equal(formatFaults('it', [{ path: 'a', message: 'b' }]), 'it: a: b')
  t.equal(
    formatFaults('it', [
      { path: '', message: 'b' },
      { path: 'c', message: 'd' },
    ]),
    'it: 2 mistakes\n  b\n  c: d',
  )
  t.end()
})

t.test('parts of a schema that repeat stand once', (t) => {
  const text = { type: 'string' }
  t.same(shareSchema({ properties: { a: text, b: { items: text }, c: { type: 'number' } } }), {
    properties: { a: { $ref: '#/$defs/shared0' }, b: { items: { $ref: '#/$defs/shared0' } }, c: { type: 'number' } },
    $defs: { shared0: { type: 'string' } },
  })
  t.end()
})

t.test('a look without Ajv says the same as Ajv', (t) => {
  const even = {
    keyword: 'even',
    type: 'number',
    fault: (n: unknown) => (Number(n) % 2 ? 'must be even' : undefined),
  } as const
  const schemas: object[] = [
    ...['object', 'array', 'string', 'integer', 'number', 'boolean', 'null'].map((type) => ({ type })),
    { type: ['string', 'array'], minLength: 1, minItems: 1, says: 'something' },
    { enum: ['a', 1, true] },
    { const: 'a' },
    { type: 'string', not: { enum: ['a'] } },
    { type: ['string', 'array'], maxLength: 1, maxItems: 0 },
    { minimum: 0, maximum: 5 },
    { pattern: '^a+$' },
    { even: true },
    { items: { type: 'integer' } },
    { minProperties: 1, propertyNames: { pattern: '^a' } },
    { required: ['a'], properties: { a: { type: 'string' } }, additionalProperties: { type: 'integer' } },
    { properties: { a: {} }, additionalProperties: false, member: 'letter' },
    { if: { properties: { a: { enum: ['x'] } } }, then: { required: ['b'] } },
  ]
  const values: unknown[] = [
    ...[null, true, false, 0, 1, 1.5, 5, 6, -1, 2 ** 64, '', 'a', 'aa', 'b', [], [1], [1.5], ['a'], {}],
    ...[{ a: 'x' }, { a: 1 }, { a: 'x', b: 2 }, { a: 'x', b: 'y' }, { b: 1 }, { c: null }, { a: null }],
  ]
  for (const schema of schemas) {
    const fits = fitter(schema, [even])
    const explain = explainer(schema, [even])
    for (const value of values) t.equal(fits(value), explain(value).length === 0, `${show(schema)} of ${show(value)}`)
  }
  t.notOk(fitter({ multipleOf: 2 }, [])(4), 'what it does not know, it leaves to Ajv')
  t.same(faultFinder({ multipleOf: 2 })(4), [], 'which may find nothing wrong')
  t.end()
})

t.test('the schemas of options and specs: a look says the same as Ajv, of each part', (t) => {
  const specKeywords: readonly FaultKeyword[] = ['uint64', 'noNul'].map((keyword) => ({
    keyword,
    type: 'string',
    fault: (value) => (String(value).includes('\0') ? 'must be without NUL' : undefined),
  }))
  const parts: [schema: object, keywords: readonly FaultKeyword[]][] = [
    ...partsOf(optionsSchema).map((part): [object, typeof optionKeywords] => [part, optionKeywords]),
    ...Object.values(mountSchemas).map((part): [object, typeof optionKeywords] => [part, optionKeywords]),
    ...partsOf(specSchema).map((part): [object, typeof specKeywords] => [part, specKeywords]),
  ]
  const plain = [
    null,
    true,
    false,
    0,
    1,
    -1,
    1.5,
    NaN,
    65536,
    '',
    'a',
    '/a',
    '/a:/b',
    'a\0',
    '10s',
    '64m',
    '1.2.3.4',
    'x'.repeat(256),
  ]
  const members = [
    'type',
    'path',
    'name',
    'target',
    'source',
    'names',
    'process',
    'limits',
    'command',
    'interval',
    'length',
    'constructor',
  ]
  const values: unknown[] = [
    ...plain,
    ...plain.map((value) => [value]),
    ...[
      [],
      {},
      { a: 'b' },
      [{ target: '/a', type: 'bind', source: '/b' }],
      [{ target: 'a' }],
      [{ path: '/a' }, 7],
      ['1', '1'],
    ],
    ...members.flatMap((name) => plain.map((value) => ({ [name]: value }))),
  ]
  for (const [schema, keywords] of parts) {
    const fits = fitter(schema, keywords)
    const explain = explainer(schema, keywords)
    const other = values.filter((value) => fits(value) !== (explain(value).length === 0))
    t.same(other.map(show), [], show(schema))
  }
  t.end()
})

/** The schemas of the properties of a schema, and of theirs. */
function partsOf(schema: object): object[] {
  const { properties = {} } = schema as { properties?: Readonly<Record<string, object>> }
  return Object.values(properties).flatMap((part) => [part, ...partsOf(part)])
}
