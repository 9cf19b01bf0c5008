// --config FILE: options from a file, as arguments that stand before those typed.
import { isUtf8 } from 'node:buffer'
import path from 'node:path'
import { type Command, CommanderError, type Option } from 'commander'
import { readSmallFile } from '../lib/checkpoint/files.js'
import { inputError, type WarpError } from '../lib/errors.js'
import { readJsonFile } from '../lib/text/json-file.js'
import { meant } from '../lib/text/nearest.js'
import { describe } from '../lib/text/place.js'
import { commandOf } from './definitions.js'

const example = 'options of the command, such as {"base": "minilm-l6", "points": 5}'
const largest = 2 ** 20

/**
 * The arguments with those of the file that `--config` names in front; an option that is typed is not taken from the
 * file.
 * @throws WarpError OPTIONS_UNREADABLE, OPTIONS_NOT_JSON, OPTIONS_NOT_UTF8, OPTIONS_DUPLICATE_KEY, OPTIONS_NOT_YAML,
 *   OPTIONS_FORM, OPTIONS_COMMAND, OPTIONS_KEY, OPTIONS_VALUE; CommanderError of a command line that cannot be read
 */
export async function withConfig(program: Command, args: string[]): Promise<string[]> {
  const { command, names, rest } = commandOf(program, args)
  const found = takeConfig(rest)
  if (found === undefined) return args
  const typed = typedOptions(command, found.rest)
  const options = optionsIn(found.file, await readConfig(found.file), names.join(' '))
  const known = command.options.filter((option) => option.attributeName() !== 'config')
  const taken = Object.entries(options).flatMap(([key, value]) => {
    const option = optionFor(known, key, value)
    if (!option) throw unknownKey(found.file, key, names, known)
    return typed.has(option.attributeName()) ? [] : argumentsFor(found.file, key, option, value)
  })
  return [...names, ...taken, ...found.rest]
}

/** The file that `--config` names, and the arguments without it; undefined where there is none. */
function takeConfig(args: string[]): { file: string; rest: string[] } | undefined {
  const end = args.indexOf('--')
  const own = end < 0 ? args : args.slice(0, end)
  const places = own.flatMap((arg, i) => (/^--config(=|$)/.test(arg) ? [i] : []))
  if (places.length === 0) return undefined
  const [at, again] = places
  const inline = own[at].startsWith('--config=')
  const file = inline ? own[at].slice('--config='.length) : args[at + 1]
  if (again !== undefined || !file) {
    const message = again === undefined ? "option '--config <file>' argument missing" : 'one --config at a time'
    throw new CommanderError(2, 'warp.config', message)
  }
  return { file, rest: [...args.slice(0, at), ...args.slice(at + (inline ? 1 : 2))] }
}

/** Names of the options that are typed. */
function typedOptions(command: Command, rest: string[]): Set<string> {
  command.saveStateBeforeParse()
  try {
    command.parseOptions(rest)
    const names = command.options.map((option) => option.attributeName())
    return new Set(names.filter((name) => command.getOptionValueSource(name) === 'cli'))
  } finally {
    command.restoreStateBeforeParse()
  }
}

async function readConfig(file: string): Promise<unknown> {
  if (path.extname(file).toLowerCase() === '.json') return readJsonFile(file, 'OPTIONS', example)
  const bytes = await readSmallFile(file, largest).catch((error: WarpError) => {
    throw inputError(
      'OPTIONS_UNREADABLE',
      `options cannot be read: ${error.message}`,
      { ...error.details, file },
      'a file of options that can be read',
    )
  })
  if (!isUtf8(bytes))
    throw inputError('OPTIONS_NOT_UTF8', `${file}: not UTF-8`, { file }, 'Save the file again, as UTF-8.')
  const { parseDocument } = await import('yaml')
  const document = parseDocument(bytes.toString('utf8'), { prettyErrors: true })
  const [error] = document.errors
  if (!error) return document.toJS({ maxAliasCount: 0 }) as unknown
  const [{ line, col: column } = { line: 1, col: 1 }] = error.linePos ?? []
  const problem = error.message.split('\n')[0].replace(/ at line .*$/, '')
  throw inputError(
    'OPTIONS_NOT_YAML',
    `${file}:${line}: not YAML: ${problem}`,
    { file, line, column },
    `expected ${example}`,
  )
}

/** The options of a file that somebody wrote, or of a result of an earlier run. */
function optionsIn(file: string, document: unknown, command: string): Record<string, unknown> {
  if (!isObject(document)) {
    const details = { file, found: describe(document) }
    throw inputError(
      'OPTIONS_FORM',
      `${file}: holds ${describe(document)}, not options`,
      details,
      `expected ${example}`,
    )
  }
  const { command: own, ...options } = document
  const result = typeof document.schema === 'string' && document.schema.startsWith('warp.')
  if (typeof own === 'string' && own !== command) {
    const details = { file, expected: command, found: own }
    throw inputError('OPTIONS_COMMAND', `${file}: is for warp ${own}, not warp ${command}`, details, `warp ${own}`)
  }
  const found = !result ? options : isObject(own) ? own : options.options
  if (isObject(found)) return found
  throw inputError(
    'OPTIONS_FORM',
    `${file}: a ${String(document.schema)} document that does not hold the options of its run`,
    { file, found: document.schema },
    'the result.json of recover, or a file with the options',
  )
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const dashed = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** `base-head` and `baseHead` are the same; of a pair like --quotes and --no-quotes the value decides. */
function optionFor(known: Option[], key: string, value: unknown): Option | undefined {
  const exact = known.find(({ long }) => long === `--${dashed(key)}`)
  const opposite = known.find(({ long }) => long === `--no-${dashed(key)}`)
  return value === false ? (opposite ?? exact) : (exact ?? opposite)
}

function unknownKey(file: string, key: string, names: string[], known: Option[]): WarpError {
  const longs = known.map(({ long }) => (long ?? '').slice(2))
  return inputError(
    'OPTIONS_KEY',
    `${file}: warp ${names.join(' ')} has no option "${key}"`,
    { file, found: key, expected: longs },
    meant(dashed(key), longs, `warp ${names.join(' ')} --help`),
  )
}

/** What one would type; null is the same as left out. */
function argumentsFor(file: string, key: string, option: Option, value: unknown): string[] {
  if (value === null || value === undefined) return []
  const wrong = (expected: string): WarpError =>
    inputError(
      'OPTIONS_VALUE',
      `${file}: ${key} must be ${expected}, found ${describe(value)}`,
      { file, found: describe(value), expected },
      `what ${option.flags} takes: ${option.description}`,
    )
  if (option.isBoolean() || option.negate) {
    if (typeof value !== 'boolean') throw wrong('true or false')
    const wanted = option.negate && option.long !== `--${dashed(key)}` ? !value : value
    return wanted ? [option.long!] : []
  }
  const text = (one: unknown): string => {
    if (typeof one === 'string' || typeof one === 'number') return String(one)
    throw wrong(option.variadic ? 'a string or a list of strings' : 'a string or a number')
  }
  if (option.variadic) return [value].flat().map((one) => `${option.long}=${text(one)}`)
  if (Array.isArray(value)) {
    const words = value.map(text)
    if (words.some((word) => word.includes(','))) throw wrong('a list whose values have no comma')
    return [`${option.long}=${words.join(',')}`]
  }
  if (isObject(value)) {
    if (Object.entries(value).some((pair) => /[,=]/.test(pair.join('')))) throw wrong('a map without commas and =')
    return [`${option.long}=${pairsText(value, text)}`]
  }
  return [`${option.long}=${text(value)}`]
}

/** `{seed: 3}` as `seed:3`; a map of labels as `1=World,2=Sports`. */
function pairsText(value: Record<string, unknown>, text: (one: unknown) => string): string {
  const pairs = Object.entries(value)
  if (pairs.length === 1 && pairs[0][0] === 'seed') return `seed:${text(pairs[0][1])}`
  return pairs.map(([from, to]) => `${from}=${text(to)}`).join(',')
}
