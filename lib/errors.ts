/** What went wrong, by who can mend it. Each kind has one exit code of the command line. */
export type ErrorKind = 'internal' | 'usage' | 'input' | 'resource' | 'untrusted'

const exitCodes: Record<ErrorKind, number> = { internal: 1, usage: 2, input: 3, resource: 4, untrusted: 5 }

/** Where an input is wrong, and other facts a program may want; only JSON values. */
export interface ErrorDetails {
  file?: string
  line?: number
  column?: number
  /** bytes from the start of the file */
  offset?: number
  tensor?: string
  expected?: unknown
  found?: unknown
  [key: string]: unknown
}

/**
 * Every error this package raises. `code` is stable (UPPER_SNAKE, e.g. `SAFETENSORS_DATA_MISSING`); `message` says
 * what was found and what was expected; `details` says where; `hint` is the one thing to try next.
 */
export class WarpError extends Error {
  override readonly name = 'WarpError'
  constructor(
    readonly kind: ErrorKind,
    readonly code: string,
    message: string,
    readonly details: ErrorDetails,
    readonly hint: string,
    options?: { cause?: unknown },
  ) {
    super(message, options)
  }

  get exitCode(): number {
    return exitCodes[this.kind]
  }

  toJSON(): { code: string; message: string; details: ErrorDetails; hint: string } {
    return { code: this.code, message: this.message, details: this.details, hint: this.hint }
  }
}

/** Bad input: a file, a text, an option's value against the files. Exit code 3. */
export function inputError(code: string, message: string, details: ErrorDetails, hint: string): WarpError {
  return new WarpError('input', code, message, details, hint)
}

/** A call or command line that cannot be meant. Exit code 2. */
export function usageError(code: string, message: string, details: ErrorDetails, hint: string): WarpError {
  return new WarpError('usage', code, message, details, hint)
}

/** @throws WarpError (usage) OPTION_RANGE unless it is a whole number in the range, or left out */
export function checkWhole(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return
  throw usageError(
    'OPTION_RANGE',
    `${name} must be a whole number from ${least} to ${most}, not ${value}`,
    { expected: [least, most], found: value },
    `a number from ${least} on; leave it out for the default`,
  )
}

/** Memory, disk, device. Exit code 4. */
export function resourceError(code: string, message: string, details: ErrorDetails, hint: string): WarpError {
  return new WarpError('resource', code, message, details, hint)
}

/**
 * Refuses an option that a call would take and not use.
 * @param options by name, undefined where they are not given
 * @throws WarpError (usage) OPTION_UNUSED
 */
export function refuseUnused(options: Record<string, unknown>, why: string): void {
  const option = Object.keys(options).find((name) => options[name] !== undefined)
  if (option === undefined) return
  throw usageError('OPTION_UNUSED', `${option} means nothing ${why}`, { option }, 'leave it out')
}
