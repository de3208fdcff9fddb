/** Quotas of containers and of volumes, on a disk of ext4 that is the spec's own. */
import { ext4WithProjects } from '../fixtures/loop-disk.js'
import { inOwnNetwork } from '../fixtures/own-network.js'
import { quotaCases } from '../fixtures/quota-cases.js'

if (inOwnNetwork(import.meta.url, { mounts: true }))
  await quotaCases({ ...ext4WithProjects, size: '200m', mount: 'prjquota' })
