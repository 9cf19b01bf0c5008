import { usageError } from './errors.js'
import { nearest } from './text/nearest.js'
import { describe } from './text/place.js'

/** What an option may be: of a kind, or one of some names. */
export type Kind = keyof typeof expected | readonly string[]
/** Every option of a call; the compiler sees to it that none is forgotten. */
export type Kinds<T> = Record<keyof Required<T>, Kind>

type Expected = [what: string, fits: (value: unknown) => boolean]

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value))
const areTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string')

const expected = {
  text: ['a string', (value) => typeof value === 'string'],
  number: ['a number', (value) => typeof value === 'number'],
  flag: ['true or false', (value) => typeof value === 'boolean'],
  texts: ['a list of strings', areTexts],
  numbers: ['a list of numbers', (value) => Array.isArray(value) && value.every((item) => typeof item === 'number')],
  function: ['a function', (value) => typeof value === 'function'],
  object: ['an object', (value) => typeof value === 'object' && value !== null],
  signal: [
    'an AbortSignal',
    (value) => ['throwIfAborted', 'addEventListener'].every((name) => typeof Object(value)[name] === 'function'),
  ],
  baseHead: [
    "'zeros' or { seed: a whole number from 0 on }",
    (value) => value === 'zeros' || (isPlain(value) && Number.isSafeInteger(value.seed) && Number(value.seed) >= 0),
  ],
  labelMap: [
    'a string, or an object of strings',
    (value) => typeof value === 'string' || (isPlain(value) && areTexts(Object.values(value))),
  ],
  prompts: [
    'a string, or a list of strings that is not empty',
    (value) => typeof value === 'string' || (areTexts(value) && (value as string[]).length > 0),
  ],
  any: ['', () => true],
} satisfies Record<string, Expected>

const choice = (names: readonly string[]): Expected => [
  `one of ${names.join(', ')}`,
  (value) => names.some((name) => name === value),
]

/**
 * Checks the names and the types of the options of a call; undefined is the same as left out.
 * @param required options that must be there
 * @throws WarpError (usage) OPTION_UNKNOWN, OPTION_TYPE, OPTION_MISSING
 */
export function checkOptions<T extends object>(
  call: string,
  options: T,
  kinds: Kinds<T>,
  required: (keyof T & string)[],
): void {
  if (typeof options !== 'object' || options === null) {
    throw usageError(
      'OPTION_TYPE',
      `${call} takes an object of options, found ${describe(options)}`,
      { found: describe(options) },
      `${call}({ … })`,
    )
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(kinds, name)) throw unknown(call, name, Object.keys(kinds))
    const kind: Kind = kinds[name as keyof T]
    const [what, fits]: Expected = typeof kind === 'string' ? expected[kind as keyof typeof expected] : choice(kind)
    if (value === undefined || fits(value)) continue
    throw usageError(
      'OPTION_TYPE',
      `${call}: ${name} must be ${what}, found ${describe(value)}`,
      { expected: what, found: describe(value), option: name },
      'see the types of the package',
    )
  }
  const missing = required.find((name) => options[name] === undefined)
  if (missing === undefined) return
  throw usageError(
    'OPTION_MISSING',
    `${call} needs ${missing}`,
    { expected: missing },
    `${call}({ ${required.join(', ')} })`,
  )
}

function unknown(call: string, name: string, known: string[]): Error {
  const near = nearest(name, known)
  return usageError(
    'OPTION_UNKNOWN',
    `${call} has no option "${name}"`,
    { found: name, expected: known },
    near === undefined ? `options: ${known.join(', ')}` : `did you mean "${near}"?`,
  )
}

/** Options that calls share, by the interface that has them. */
export const runKinds = { signal: 'signal', onProgress: 'function' } as const
export const textKinds = {
  format: 'text',
  columns: 'texts',
  quotes: 'flag',
  text: 'texts',
  response: 'text',
  label: 'text',
  domain: 'text',
  limit: 'number',
  perDomain: 'number',
  dropUnlabeled: 'flag',
  skipInvalid: 'flag',
  domains: 'texts',
} as const
export const pathKinds = {
  beyond: 'flag',
  path: 'text',
  points: 'number',
  lambdaMin: 'number',
  lambdaMax: 'number',
  lambdas: 'numbers',
  quadraticC: 'number',
  density: 'number',
  epsilon: 'number',
  gamma: 'number',
  rescale: 'text',
  compat: 'text',
  checkpoint: 'texts',
  only: 'texts',
  except: 'texts',
  seed: 'number',
} as const
export const deviceKinds = { device: 'text', deviceMemory: 'number', precision: 'text' } as const
