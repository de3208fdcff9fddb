import t from 'tap'
import { randomId, randomName } from '../../lib/container/names.js'

t.match(randomName(), /^[a-z]+-[a-z]+$/)
t.match(randomName(3), /^[a-z]+-[a-z]+-\d+$/)
t.match(randomId(), /^[0-9a-f]{64}$/)
const names = new Set(Array.from({ length: 200 }, () => randomName()))
t.ok(names.size > 150, 'names are told apart')
