import type { OpenCopier } from '../storage/copy/copier.js'
import { close, pipe } from '../sys/descriptors.js'
import type { Launcher } from './launcher.js'

/** Copiers come from the launcher, which no container can reach. */
export function copierBy(launcher: Launcher): OpenCopier {
  return async (tree, way) => {
    const [input, output] = [pipe(), pipe({ size: 1024 * 1024 })]
    try {
      await launcher.spawnCopier(tree, way, input.read, output.write)
      return { input: input.write, output: output.read }
    } catch (error) {
      close(input.write)
      close(output.read)
      throw error
    }
  }
}
