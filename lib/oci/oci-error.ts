/** A failure in runc's words, as those who call OCI runtimes look for them in what is said. */
export class OciError extends Error {
  override readonly name = 'OciError'
}
