import { randomBytes, randomInt } from 'node:crypto'

// Our own words: short, easy to say and to tell apart in a log, and nobody's name.
const qualities =
  'amber bold brisk calm clear coral crisp deep early fair fleet fond gentle glad green keen kind late light lively lucid mellow mild neat noble pale plain prime proud quick quiet rapid ready round ruby sharp silver sleek smart snowy solid spry steady still sunny swift tidy true warm wise young'.split(
    ' ',
  )
const things =
  'alder aspen badger beacon birch bison brook cedar cliff cloud comet crane creek dune eagle ember falcon fern finch fjord glade grove harbor hazel heron island juniper lagoon lake lark maple marten meadow moon moss oak orca osprey otter pebble pine plover poplar puffin quartz raven reef river robin salmon seal sparrow spruce star stone stork swan tern thrush tide trout valley willow wren'.split(
    ' ',
  )

/** A name such as `swift-otter`; with a number behind it, once the plain ones run into others. */
export function randomName(attempt = 0): string {
  const name = `${pick(qualities)}-${pick(things)}`
  return attempt < 3 ? name : `${name}-${String(randomInt(10_000))}`
}

/** A new container id: 64 hexadecimal digits, as the field writes them. */
export function randomId(): string {
  return randomBytes(32).toString('hex')
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] ?? ''
}
