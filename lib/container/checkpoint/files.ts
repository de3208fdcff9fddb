/** What a checkpoint consists of, as a directory or in an archive. */
export const FILES = {
  /** A directory: what CRIU wrote. */
  images: 'images',
  /** What the container has changed of its image's files, as the tar of a layer. */
  changes: 'changes.tar',
  /** What container it was, JSON. */
  description: 'container.json',
} as const
