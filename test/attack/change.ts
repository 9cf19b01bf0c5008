import {
  appendFileSync,
  cpSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../lib/random.js'
import { makePair, type TestPair } from '../support/pair.js'
import { below, one, type Attack } from './attack.js'
import { place, runCommand } from './commands.js'

const ways: Record<string, (file: string, random: Random) => void> = {
  'a byte was written': (file, random) => {
    const bytes = readFileSync(file)
    bytes[below(random, bytes.length)] ^= 1 << below(random, 8)
    writeFileSync(file, bytes)
  },
  'another took its place': (file, random) => {
    const { atime, mtime } = statSync(file)
    const bytes = readFileSync(file)
    bytes[below(random, bytes.length)] ^= 1 << below(random, 8)
    writeFileSync(`${file}.new`, bytes)
    utimesSync(`${file}.new`, atime, mtime)
    renameSync(`${file}.new`, file)
  },
  'it was cut': (file, random) => truncateSync(file, below(random, statSync(file).size)),
  'it grew': (file) => appendFileSync(file, '  '),
  'it went away': (file) => rmSync(file),
}

/** What of a command's result depends on its inputs alone. */
const resultOf = (stdout: string): string =>
  JSON.stringify({ ...JSON.parse(stdout), timings: 0, peakMemoryBytes: 0, plannedMemoryBytes: 0 })

/** Inputs that change while a command runs: an error, or the result of the files as they were. */
export class Change implements Attack {
  readonly name = 'inputs that change'
  readonly share = 0.1
  readonly #pair = makePair()
  readonly #known = new Map<string, { result: string; milliseconds: number }>()

  async step(random: Random): Promise<string | undefined> {
    const name = one(random, ['recover', 'footprint', 'trace', 'merge'])
    const folder = place()
    const pair = this.#copy(folder)
    try {
      const known = this.#known.get(name) ?? (await this.#undisturbed(name, pair, folder))
      if (typeof known === 'string') return known
      const file = one(random, [
        join(pair.base, 'model.safetensors'),
        join(pair.reference, 'model.safetensors'),
        join(pair.reference, 'config.json'),
        join(pair.base, 'tokenizer.json'),
        pair.probes,
      ])
      const way = one(random, Object.keys(ways))
      const after = Math.round(known.milliseconds * (0.2 + 0.9 * random.uniform()))
      const end = await runCommand(argumentsOf(name, pair, join(folder, 'out')), {
        meanwhile: { after, work: () => ways[way](file, random) },
      })
      const what = `${name}, ${after} ms after its start ${way} (${file.slice(folder.length)})`
      if (end.late) return `${what}: it never ended`
      if (end.code === 0) {
        const result = withoutPlace(resultOf(end.stdout), folder)
        if (result === known.result) return
        // the change came before the file was opened: then the result is that of the files as they are now
        const again = await runCommand(argumentsOf(name, pair, join(folder, 'other')))
        const now = again.code === 0 ? withoutPlace(resultOf(again.stdout), folder) : `exit ${again.code}`
        return result === now ? undefined : `${what}: exit 0 with a result of neither version`
      }
      if (end.code !== 3) return `${what}: ${end.signal ?? `exit ${end.code}`} ${end.stderr.slice(-500)}`
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }

  /** The pair in a folder of this try alone, as if it had been there for a while. */
  #copy(folder: string): TestPair {
    cpSync(this.#pair.folder, join(folder, 'pair'), { recursive: true })
    const at = (name: string): string => join(folder, 'pair', name)
    for (const file of [
      'base/model.safetensors',
      'reference/model.safetensors',
      'base/config.json',
      'reference/config.json',
      'base/tokenizer.json',
      'probes.jsonl',
    ]) {
      utimesSync(at(file), new Date(2020, 1, 1), new Date(2020, 1, 1))
    }
    return { folder: at('.'), base: at('base'), reference: at('reference'), probes: at('probes.jsonl') }
  }

  async #undisturbed(
    name: string,
    pair: TestPair,
    folder: string,
  ): Promise<{ result: string; milliseconds: number } | string> {
    const started = performance.now()
    const end = await runCommand(argumentsOf(name, pair, join(folder, 'out')))
    if (end.code !== 0) return `${name}, undisturbed: ${end.stderr.slice(-500)}`
    const known = { result: withoutPlace(resultOf(end.stdout), folder), milliseconds: performance.now() - started }
    this.#known.set(name, known)
    rmSync(join(folder, 'out'), { recursive: true, force: true })
    return known
  }
}

const withoutPlace = (text: string, folder: string): string =>
  text.replaceAll(folder, 'FOLDER').replaceAll('FOLDER/other', 'FOLDER/out')

function argumentsOf(name: string, { base, reference, probes }: TestPair, output: string): string[] {
  const models = ['--base', base, '--reference', reference, '--json']
  if (name === 'merge') return ['merge', ...models, '--points', '3', '-o', output]
  const more =
    name === 'trace' ? ['--calibrate', '20'] : ['--points', '2', ...(name === 'recover' ? ['--bootstrap', '200'] : [])]
  return [name, ...models, '--probes', probes, ...more]
}
