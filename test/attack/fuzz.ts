import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { sealed } from '../../lib/document.js'
import { failedTrial } from '../../lib/lab/index.js'
import type { Random } from '../../lib/random.js'
import { WindowPacker } from '../../lib/select/packed.js'
import { shardName, writeShard } from '../../lib/select/shards.js'
import { corpusFile, writeCorpus } from '../../lib/select/texts.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairProbes } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainTexts, trainableModel } from '../support/training.js'
import { one, type Attack } from './attack.js'
import { LineServer } from './child.js'
import { mutant } from './mutate.js'
import type { Answer } from './parse.js'

/** A good file, where it lies in a folder of its own, and what is then parsed. */
interface Case {
  target: string
  file: string
  bytes: Buffer
  /** other folders and files it needs, copied beside it */
  beside?: string
  /** what is parsed, in the folder; default the file */
  parsed?: string
  /** whose change must be refused unless its contents stay the same */
  sealed?: boolean
}

function trialText(): string {
  const facts = { index: 0, seed: 1, domains: ['a', 'b'], counts: [3, 4], recipe: { epochs: 1 }, timings: { train: 1 } }
  return sealed(failedTrial(facts, { code: 'TRAINING_DIVERGED', message: 'the loss is not finite' }))
}

function projectorText(): string {
  const model = { kind: 'equivariant', form: 'linear', floor: 0.1, weights: { stationary: 1 } }
  const training = { trials: 20, seed: 1, chosen: { ridge: 1e-3 }, error: 0.02 }
  return sealed({
    schema: 'warp.projector/1',
    domains: ['a', 'b'],
    path: 'linear',
    lambdas: [0.1, 0.5],
    scope: 'head',
    model,
    training,
  })
}

/** What `select` leaves of a corpus. */
async function selectCases(): Promise<Case[]> {
  const folder = temporaryDirectory()
  const packer = new WindowPacker(true)
  const own = { window: 0, from: 0, prompt: 0, label: null }
  for (const [i, { text }] of domainTexts(['a', 'b'], 3).entries())
    packer.add({ ...own, document: i, to: text.length, source: `corpus.jsonl:${i + 1}`, text })
  const sections = { offsets: new Uint32Array(7), ids: new Uint16Array(40).fill(9) }
  await writeShard(folder, { key: 'key', shard: 0 }, { packed: packer.finish(), sections })
  const counts = { shards: 1, windows: 6, documents: 6, split: 0, truncated: 0 }
  const reading = { sources: ['corpus.jsonl'], options: {}, inputs: [{ size: 9, sha256: '0' }], kept: false }
  await writeCorpus(folder, { schema: 'warp.select.corpus/1', key: 'key', ...counts, reading })
  const left = (target: string, file: string): Case => ({
    target,
    file,
    bytes: readFileSync(join(folder, file)),
    parsed: '.',
    sealed: true,
  })
  return [left('shard', shardName(0)), left('corpus', corpusFile)]
}

/** Files of an adapter in the place of the reference. */
function adapterCases(): Case[] {
  const folder = temporaryDirectory()
  const fixtures = join(repositoryRoot, 'test/fixtures/adapters')
  cpSync(join(fixtures, 'bert-base'), join(folder, 'base'), { recursive: true })
  cpSync(join(fixtures, 'plain/adapter'), join(folder, 'reference'), { recursive: true })
  return ['adapter_config.json', 'adapter_model.safetensors'].map((name) => {
    const file = `reference/${name}`
    return { target: 'pair', file, bytes: readFileSync(join(folder, file)), beside: folder, parsed: '.' }
  })
}

async function cases(): Promise<Case[]> {
  const pair = makePair()
  const gpt2 = makePair('gpt2')
  const read = (...path: string[]): Buffer => readFileSync(join(...path))
  const rows = domainTexts(['animals', 'plants', 'stones'], 4)
  const csv = (separator: string): Buffer =>
    Buffer.from(
      ['text', 'label'].join(separator) +
        '\n' +
        rows.map(({ text, label }) => `"${text}"${separator}${label}\n`).join(''),
    )
  const weights = read(pair.reference, 'model.safetensors')
  const model = (dir: string, file: string): Case => ({
    target: 'model',
    file,
    bytes: read(dir, file),
    beside: dir,
    parsed: '.',
  })
  const traced = (file: string): Case => ({
    target: 'trace',
    file: `reference/${file}`,
    bytes: read(pair.reference, file),
    beside: pair.folder,
    parsed: '.',
  })
  return [
    { target: 'safetensors', file: 'model.safetensors', bytes: weights },
    { target: 'safetensors', file: 'model.safetensors', bytes: weights.subarray(0, 3000) },
    model(pair.reference, 'config.json'),
    model(gpt2.reference, 'config.json'),
    model(pair.reference, 'model.safetensors'),
    { ...traced('model.safetensors'), target: 'pair' },
    traced('config.json'),
    traced('model.safetensors'),
    { target: 'tokenizer', file: 'tokenizer.json', bytes: read(pair.base, 'tokenizer.json'), parsed: '.' },
    { target: 'tokenizer', file: 'tokenizer.json', bytes: read(gpt2.base, 'tokenizer.json'), parsed: '.' },
    { target: 'tokenizer', file: 'tokenizer.json', bytes: read(trainableModel(), 'tokenizer.json'), parsed: '.' },
    { target: 'probes', file: 'probes.jsonl', bytes: Buffer.from(pairProbes(4)) },
    { target: 'probes', file: 'probes.json', bytes: Buffer.from(JSON.stringify(rows)) },
    { target: 'probes', file: 'probes.csv', bytes: csv(',') },
    { target: 'probes', file: 'probes.tsv', bytes: csv('\t') },
    { target: 'labelMap', file: 'map.json', bytes: Buffer.from('{"1": "animals", "2": "plants", "3": 0}') },
    { target: 'trial', file: 'trial.json', bytes: Buffer.from(trialText()), sealed: true },
    { target: 'projector', file: 'projector.json', bytes: Buffer.from(projectorText()), sealed: true },
    { target: 'claimed', file: 'claimed.json', bytes: Buffer.from('{"animals": 0.5, "plants": 0.3, "stones": 0.2}') },
    ...adapterCases(),
    ...(await selectCases()),
  ]
}

const sameContents = (one: Buffer, other: Buffer): boolean => {
  if (one.equals(other)) return true
  try {
    return isDeepStrictEqual(JSON.parse(String(one)), JSON.parse(String(other)))
  } catch {
    return false
  }
}

/** Damaged files before every parser, each in a process that may die. */
export class Fuzz implements Attack {
  readonly name = 'damaged files'
  readonly share = 0.35
  readonly #cases = cases()
  readonly #parser = new LineServer(process.execPath, ['--max-old-space-size=1024', join(__dirname, 'parse.js')], 20)
  readonly #folder = mkdtempSync(join(tmpdir(), 'warp-attack-'))

  async step(random: Random): Promise<string | undefined> {
    const { target, file, bytes, beside, parsed = file, sealed: isSealed } = one(random, await this.#cases)
    const changed = mutant(bytes, random)
    const place = join(this.#folder, 'case')
    rmSync(place, { recursive: true, force: true })
    mkdirSync(place)
    if (beside) cpSync(beside, place, { recursive: true })
    writeFileSync(join(place, file), changed)
    const reply = await this.#parser.ask(JSON.stringify({ target, path: join(place, parsed) }))
    const what = `${target} of a damaged ${file}`
    if ('died' in reply) return `${what}: ${reply.died}`
    const { ok, kind, code, message } = JSON.parse(reply.answer) as Answer
    if (!ok && !['input', 'usage', 'resource'].includes(kind ?? '')) return `${what}: ${code ?? 'no code'}: ${message}`
    if (ok && isSealed && !sameContents(changed, bytes)) return `${what}: accepted though it was changed`
  }

  async close(): Promise<void> {
    await this.#parser.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
