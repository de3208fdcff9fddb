import { erofsKind } from '../../../lib/storage/drivers/erofs.js'
import { overlayKind } from '../../../lib/storage/drivers/overlay.js'
import { vfsKind } from '../../../lib/storage/drivers/vfs.js'
import { driverCases } from '../../fixtures/driver-cases.js'

for (const kind of [overlayKind, erofsKind, vfsKind]) driverCases(kind)
