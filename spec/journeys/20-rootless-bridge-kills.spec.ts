/** Bridges of an ordinary user, when what they are made of is killed. */
import { testOnOwnHost } from '../fixtures/rootless-machine.js'

testOnOwnHost(import.meta.url, { 'network-bridge-kills': '' })
