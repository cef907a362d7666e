/**
 * Standard output as the command's alone. Whatever else in the process prints there, a config or a seed, goes to
 * standard error, so that a program reads nothing but the result. A result that could not be written is a failure; a
 * reader that had enough (`| head`) is none.
 */

/** The way to standard output that is left once `takeOutput` was called. */
export interface Output {
  write(text: string): void
  /** Waits until all is written; answers what went wrong. */
  written(): Promise<Error | undefined>
}

/** Takes standard output over, for the rest of the process. */
export function takeOutput(): Output {
  const { stdout, stderr } = process
  const write = stdout.write.bind(stdout)
  let failure: Error | undefined
  const failed = (error: Error | null | undefined) => {
    if (error && (error as NodeJS.ErrnoException).code !== 'EPIPE') failure ??= error
  }
  stdout.on('error', failed)
  // Nobody is left to be told of it, and the result may be well.
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
