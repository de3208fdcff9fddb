/** Whether all that a root has fits together. */
import type { ContainerContext } from '../container/context.js'
import { containerPaths } from '../container/record.js'
import { RunLock } from '../container/run-lock.js'
import { checkKnown } from '../schema/known-options.js'
import { Findings, type CheckOptions, type CheckReport } from '../storage/check/report.js'

/** @throws PodlingError `INVALID_OPTION`, `ABORTED` */
export async function checkRoot(context: ContainerContext, options: CheckOptions): Promise<CheckReport> {
  checkKnown('check the root', options, { repair: true, signal: true })
  const findings = new Findings(options)
  const { images, layers, openCopier } = context
  const isThere = (holder: string): boolean => {
    const id = /^container:(.*)$/.exec(holder)?.[1]
    return id !== undefined && (context.records.get(id) !== undefined || isBeingMade(context, id))
  }
  await checkContainers(context, findings)
  const checked = await images.check({ layers, openCopier, isThere }, findings)
  return { problems: findings.problems, checked }
}

async function checkContainers(context: ContainerContext, findings: Findings): Promise<void> {
  const { records, names, layers, driver } = context
  const prepared = new Set(await driver.list())
  for (const [id, { name, chainId, holds }] of records.entries()) {
    if (holds !== undefined || isBeingMade(context, id)) continue
    if (chainId !== undefined && !layers.has(chainId)) {
      await findings.add('container-broken', name, 'the layers of its image are not here; remove it')
    } else if (!prepared.has(id)) {
      await findings.add('container-broken', name, 'what it has written is not here; remove it')
    }
  }
  for (const [name, id] of names.entries()) {
    if (records.get(id) !== undefined || isBeingMade(context, id)) continue
    await findings.add('name-orphaned', name, 'no container has this name', async () => {
      await names.remove(name)
    })
  }
}

function isBeingMade({ root, runRoot }: ContainerContext, id: string): boolean {
  return RunLock.isHeld(containerPaths(root, runRoot, id, false).lock)
}
