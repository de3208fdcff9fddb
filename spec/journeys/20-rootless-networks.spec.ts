/** pasta and slirp4netns of an ordinary user. */
import { testOnOwnHost } from '../fixtures/rootless-machine.js'

testOnOwnHost(import.meta.url, { 'network-programs': '' })
