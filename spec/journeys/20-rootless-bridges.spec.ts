/** Bridges of an ordinary user. */
import { testOnOwnHost } from '../fixtures/rootless-machine.js'

const noPasta =
  'for pasta in /usr/local/bin/pasta /usr/bin/pasta; do [ ! -e $pasta ] || mount --bind /dev/null $pasta; done'

testOnOwnHost(import.meta.url, { 'network-bridges': '', 'network-internal': noPasta })
