/** Quotas of containers and of volumes, on a disk of XFS that is the spec's own. */
import { inOwnNetwork } from '../fixtures/own-network.js'
import { quotaCases } from '../fixtures/quota-cases.js'

if (inOwnNetwork(import.meta.url, { mounts: true })) await quotaCases({ type: 'xfs', size: '320m', mount: 'prjquota' })
