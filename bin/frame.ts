// What every command shares: options of the frame, one way to run, print, fail and be interrupted.
import { type Command, CommanderError } from 'commander'
import type { Progress } from '../lib/native/task.js'
import { printable, printableJson, printableStyled } from '../lib/printable.js'
import { commandOf } from './definitions.js'
import { shortHelp } from './examples.js'
import { ProgressReporter } from './progress.js'

export interface FrameOptions {
  json?: boolean
  quiet?: boolean
  verbose?: boolean
}

/** What a command gives back: the document of `--json`, otherwise the text, best as lines. */
export interface Output {
  json: unknown
  text: string | readonly string[]
  /** names within the text are printable already, and colours are its own */
  styled?: boolean
  /** JSON Lines instead of the text, whole as they are */
  records?: readonly unknown[]
  /** default 0 */
  exitCode?: number
}

export interface CommandRun {
  /** aborted by the first SIGINT or SIGTERM */
  signal: AbortSignal
  onProgress: (progress: Progress) => void
  /** a line on stderr, unless `--quiet` */
  note(line: string): void
}

/** Adds --json, -q, -v and --config. */
export function framed(command: Command): Command {
  return command
    .option('--json', 'print one JSON document on stdout, also on failure')
    .option('-q, --quiet', 'nothing on stderr but errors')
    .option('-v, --verbose', 'say where an error comes from')
    .option('--config <file>', 'options from YAML or JSON, or of a result.json; those typed here come before them')
}

/** Whether text on stdout has colours: NO_COLOR forbids, FORCE_COLOR asks for them, else a terminal has them. */
export function wantsColor(): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env
  if (NO_COLOR) return false
  return FORCE_COLOR ? FORCE_COLOR !== '0' : process.stdout.isTTY && TERM !== 'dumb'
}

class Interrupted extends Error {
  constructor(readonly signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`)
  }
}

/** Of an error and its hint. */
const longestMessage = 1000

/** The one place where text leaves for a terminal. */
function show(stream: NodeJS.WritableStream, lines: readonly string[], styled = false): void {
  stream.write(lines.map((line) => `${styled ? printableStyled(line) : printable(line)}\n`).join(''))
}

/** The one place where documents do. */
function showJson(document: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(document, null, 2))}\n`)
}

const recordLine = (record: unknown): string => `${printableJson(JSON.stringify(record))}\n`

const linesOf = (text: string | readonly string[]): readonly string[] =>
  typeof text === 'string' ? text.replace(/\n*$/, '').split('\n') : text

/** Runs a command's work and prints what it gives; errors reach `main`. */
export async function execute(options: FrameOptions, work: (run: CommandRun) => Promise<Output>): Promise<void> {
  const controller = new AbortController()
  const progress = options.quiet ? undefined : new ProgressReporter(show)
  const interrupt = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCodeOf(controller.signal.reason))
    controller.abort(new Interrupted(signal))
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  try {
    const output = await work({
      signal: controller.signal,
      onProgress: (p) => progress?.update(p),
      note: (line) => {
        if (!options.quiet) show(process.stderr, line.split('\n'))
      },
    })
    progress?.stop()
    if (options.json) showJson(output.json)
    else if (output.records) process.stdout.write(output.records.map(recordLine).join(''))
    else show(process.stdout, linesOf(output.text), output.styled)
    process.exitCode = output.exitCode ?? 0
  } finally {
    progress?.stop()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}

interface Described {
  code: string
  message: string
  details: unknown
  hint: string
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) return error.signal === 'SIGINT' ? 130 : 143
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  return (error as { exitCode?: number }).exitCode ?? 1
}

function describe(error: unknown): Described {
  const known = error as Partial<Described>
  if (error instanceof Interrupted) return { code: 'INTERRUPTED', message: error.message, details: {}, hint: '' }
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') error.message = 'a command is needed'
    return {
      code: 'USAGE',
      message: error.message.replace(/^error: /, '').replace(/\n(?=\(Did you mean [^\n]*$)/, ' '),
      details: {},
      hint: 'warp --help, warp COMMAND --help',
    }
  }
  if (typeof known.code === 'string' && typeof known.hint === 'string') {
    return { code: known.code, message: known.message ?? '', details: known.details ?? {}, hint: known.hint }
  }
  return {
    code: 'INTERNAL',
    message: known?.message ?? String(error),
    details: {},
    hint: 'this is a bug: please report it with what -v prints',
  }
}

/** What is wrong with a command line: a mistyped option comes before one that is missing, perhaps for that reason. */
function usageFault(error: unknown, program: Command, args: string[]): unknown {
  if (!(error instanceof CommanderError) || error.code !== 'commander.missingMandatoryOptionValue') return error
  const { command, rest } = commandOf(program, args)
  const typo = command.parseOptions(rest).unknown.find((arg) => arg.startsWith('-'))
  if (typo === undefined) return error
  // with nothing required, the parser says what it says of any unknown option
  for (const option of command.options) option.makeOptionMandatory(false)
  try {
    command.exitOverride().parse([typo], { from: 'user' })
  } catch (unknown) {
    return unknown
  }
  return error
}

/** Runs the program: sets the exit code, prints a failure once, as JSON where `--json` is among the arguments. */
export async function main(program: Command, given: string[]): Promise<void> {
  let args = given.filter((arg) => arg !== '--no-color')
  if (args.length < given.length) process.env.NO_COLOR = '1'
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0) // the reader has had enough
    throw error
  })
  process.stderr.on('error', () => {}) // nobody reads what happens: the result still counts
  const prepare = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: () => {} })
    command.commands.forEach(prepare)
  }
  prepare(program)
  try {
    if (args.length === 0) {
      show(process.stderr, shortHelp(program))
      process.exitCode = 2
      return
    }
    if (args.some((arg) => arg.startsWith('--config'))) {
      const { withConfig } = await import('./config-file.js')
      args = await withConfig(program, args)
    }
    await program.parseAsync(args, { from: 'user' })
  } catch (thrown) {
    const error = usageFault(thrown, program, args)
    process.exitCode = exitCodeOf(error)
    if (process.exitCode === 0) return
    const described = describe(error)
    if (args.includes('--json')) showJson({ error: described })
    const { code, message, hint } = described
    show(process.stderr, [`warp: ${printable(message, longestMessage)} [${code}]`])
    if (hint) show(process.stderr, [`  try: ${printable(hint, longestMessage)}`])
    if (args.includes('-v') || args.includes('--verbose')) {
      const lines = String((error as Error).stack).split('\n')
      show(
        process.stderr,
        lines.map((line) => printable(line, longestMessage)),
      )
    }
  }
}
