import type { Context } from './context.js'
import { make } from './make.js'

/** `create ID`: all but the start. Afterwards nothing of this command is left but the container. */
export async function create(context: Context, id: string): Promise<number> {
  await make(context, id, true, async ({ helper }) => {
    helper.goOn()
    await helper.started()
    await helper.end()
  })
  return 0
}
