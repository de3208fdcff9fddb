import t from 'tap'
import { fuseOverlayfsKind } from '../../../lib/storage/drivers/fuse-overlayfs.js'
import { driverCases } from '../../fixtures/driver-cases.js'
import { has } from '../../peers.js'

if (has('fuse-overlayfs')) driverCases(fuseOverlayfsKind, { countsLinks: false })
else t.test('fuse-overlayfs', { skip: "needs Debian's fuse-overlayfs" }, (t) => t.end())
