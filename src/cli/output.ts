/**
 * Keeps standard output for the command's result. Everything else that the process prints there, such as a config or a
 * seed, goes to standard error, so that a program reads only the result. A result that could not be written is a
 * failure; a reader that has read enough (`| head`) is not.
 */

/** The only way to standard output after `takeOutput` was called. */
export interface Output {
  write(text: string): void
  /** Waits until everything is written; returns the error if there was one. */
  written(): Promise<Error | undefined>
}

/** Takes over standard output for the rest of the process. */
export function takeOutput(): Output {
  const { stdout, stderr } = process
  const write = stdout.write.bind(stdout)
  let failure: Error | undefined
  const failed = (error: Error | null | undefined) => {
    if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') failure ??= error
  }
  stdout.on('error', failed)
  // There is no other place to report it, and the result may be fine.
  stderr.on('error', () => undefined)
  stdout.write = stderr.write.bind(stderr)
  return {
    write: (text) => void write(text, failed),
    written: () =>
      new Promise((resolve) => {
        write('', () => resolve(failure))
      }),
  }
}
