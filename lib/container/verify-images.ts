import type { ContainerContext } from './context.js'

/** See that what a container stands on, and has mounted, was not changed on disk. @throws PodlingError `DIGEST_MISMATCH` */
export async function verifyImages(
  { images }: ContainerContext,
  used: readonly { readonly id: string; readonly chainId?: string | undefined }[],
): Promise<void> {
  for (const { id, chainId } of used) await images.verify(id, chainId)
}
