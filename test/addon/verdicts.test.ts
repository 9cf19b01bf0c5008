// Every kind of directory: what `inspect` says of it, and that each command does just that.
import { cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from '../../lib/checkpoint/index.js'
import { WarpError } from '../../lib/errors.js'
import { merge } from '../../lib/merge/index.js'
import { recover } from '../../lib/recover.js'
import { trace } from '../../lib/trace/index.js'
import { pairOfKind, savedKinds } from '../support/directories.js'
import { fresh } from '../support/merging.js'
import { fixtureModel, safetensors, temporaryDirectory, type TestTensor } from '../support/models.js'
import { makePair, pairProbes, wordPieceTokenizer } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const pair = makePair()
const adapters = join(repositoryRoot, 'test/fixtures/adapters')
const tokenizer = JSON.stringify(wordPieceTokenizer())
const probes = join(temporaryDirectory(), 'probes.jsonl')
writeFileSync(probes, pairProbes(4))

function copyOf(folder: string): string {
  const dir = join(temporaryDirectory(), 'model')
  cpSync(folder, dir, { recursive: true })
  writeFileSync(join(dir, 'tokenizer.json'), tokenizer)
  return dir
}

const weightsOf = (dir: string): string => join(dir, 'model.safetensors')

/** The reference with its tensors changed one by one. */
function remade(change: (t: TestTensor) => TestTensor[], config: object = {}): string {
  const dir = copyOf(pair.reference)
  const bytes = readFileSync(weightsOf(dir))
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const { __metadata__: _, ...header } = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >
  const tensors = Object.entries(header).flatMap(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [begin, end],
      },
    ]) => change({ name, dtype, shape, data: bytes.subarray(start + begin, start + end) }),
  )
  writeFileSync(weightsOf(dir), safetensors(tensors))
  const file = join(dir, 'config.json')
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...config }))
  return dir
}

const layer = /encoder\.layer\.\d+.*\.weight$/
const isMatrix = ({ name, shape }: TestTensor): boolean => layer.test(name) && shape.length === 2
const table = 'bert.embeddings.word_embeddings.weight'
const elements = ({ shape }: TestTensor): number => shape.reduce((a, b) => a * b, 1)
/** Any finite codes: the exponent's highest bit is never set. */
const eight = (t: TestTensor): TestTensor => ({
  ...t,
  dtype: 'F8_E4M3',
  data: Uint8Array.from({ length: elements(t) }, (_, i) => (i * 37) & 0xbf),
})
const coded = (t: TestTensor): TestTensor[] => [
  { ...t, dtype: 'I8', data: new Uint8Array(elements(t)) },
  { name: t.name.replace(/weight$/, 'SCB'), shape: [t.shape[0]!], dtype: 'F32' },
]
const bnb = { quantization_config: { quant_method: 'bitsandbytes', load_in_8bit: true } }

function without(files: string[], more: Record<string, string> = {}): string {
  const dir = copyOf(pair.reference)
  for (const file of files) rmSync(join(dir, file))
  for (const [name, text] of Object.entries(more)) writeFileSync(join(dir, name), text)
  return dir
}

/** A snapshot of the hub's cache; gives the folder of the repository. */
function cached(): string {
  const repository = join(temporaryDirectory(), 'models--owner--name')
  const snapshot = join(repository, 'snapshots', 'c'.repeat(40))
  for (const folder of [snapshot, join(repository, 'blobs'), join(repository, 'refs')])
    mkdirSync(folder, { recursive: true })
  writeFileSync(join(repository, 'refs/main'), 'c'.repeat(40))
  const from = copyOf(pair.reference)
  for (const name of readdirSync(from)) {
    renameSync(join(from, name), join(repository, 'blobs', name))
    symlinkSync(`../../blobs/${name}`, join(snapshot, name))
  }
  return repository
}

function circular(): string {
  const dir = without(['model.safetensors'])
  symlinkSync('other', weightsOf(dir))
  symlinkSync('model.safetensors', join(dir, 'other'))
  return dir
}

function emptied(): string {
  const repository = cached()
  rmSync(join(repository, 'blobs'), { recursive: true })
  return join(repository, 'snapshots', 'c'.repeat(40))
}

type Verdicts = [recover: string, trace: string, merge: string]
const all = (verdict: string): Verdicts => [verdict, verdict, verdict]
const deberta = pairOfKind(savedKinds['deberta-v2']!, 'deberta.embeddings.word_embeddings.weight')

const kinds: [kind: string, dir: () => string, verdicts: Verdicts, base?: string][] = [
  ['a classifier', () => pair.reference, all('yes')],
  [
    'a base without head, in shards, with old names',
    () => copyOf(fixtureModel('bert/base-old')),
    ['as base', 'yes', 'yes'],
  ],
  ['the folder of a cached repository', cached, all('yes')],
  [
    'names with the prefixes of wrappers',
    () => remade((t) => [{ ...t, name: `module._orig_mod.${t.name}` }]),
    all('yes'),
  ],
  ['an adapter', () => join(adapters, 'plain/adapter'), all('as reference'), copyOf(join(adapters, 'bert-base'))],
  [
    'an adapter with DoRA',
    () => join(adapters, 'dora/adapter'),
    all('ADAPTER_UNSUPPORTED'),
    copyOf(join(adapters, 'bert-base')),
  ],
  ['an adapter that was never merged', () => join(adapters, 'unmerged'), all('ADAPTER_NOT_MERGED')],
  [
    'placeholders of ZeRO-3',
    () => remade((t) => [isMatrix(t) ? { ...t, shape: [0], data: new Uint8Array(0) } : t]),
    all('WEIGHTS_PLACEHOLDERS'),
  ],
  [
    'flat parameters of FSDP',
    () => remade((t) => [isMatrix(t) ? { ...t, name: `${t.name}._flat_param` } : t]),
    all('WEIGHTS_FLAT'),
  ],
  [
    'shards of FSDP',
    () => without(['model.safetensors'], { '__0_0.distcp': '', '.metadata': '' }),
    all('WEIGHTS_FSDP'),
  ],
  ['state of DeepSpeed', () => without(['model.safetensors'], { 'zero_to_fp32.py': '' }), all('WEIGHTS_DEEPSPEED')],
  [
    'quantised layers, a float table',
    () => remade((t) => (isMatrix(t) ? coded(t) : [t]), bnb),
    ['QUANTISED', 'yes', 'QUANTISED'],
  ],
  ['a quantised table', () => remade((t) => (t.name === table ? coded(t) : [t]), bnb), all('QUANTISED')],
  ['a configuration that speaks of a quantisation, float weights', () => remade((t) => [t], bnb), all('yes')],
  ['eight-bit floats in the layers', () => remade((t) => [isMatrix(t) ? eight(t) : t]), all('yes')],
  [
    'eight-bit floats in the table',
    () => remade((t) => [t.name === table ? eight(t) : t]),
    ['yes', 'DTYPE_UNSUPPORTED', 'yes'],
  ],
  ['another architecture', () => deberta[1], ['ARCHITECTURE_UNSUPPORTED', 'yes', 'yes'], deberta[0]],
  ['only a pickle', () => without(['model.safetensors'], { 'pytorch_model.bin': '' }), all('WEIGHTS_PICKLE')],
  ['no configuration', () => without(['config.json']), all('CONFIG_MISSING')],
  ['no weights', () => without(['model.safetensors']), all('WEIGHTS_MISSING')],
  [
    'a Git-LFS pointer',
    () => without([], { 'model.safetensors': 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' }),
    all('SAFETENSORS_LFS_POINTER'),
  ],
  ['a web page', () => without([], { 'model.safetensors': '<!doctype html><html></html>' }), all('SAFETENSORS_HTML')],
  ['links in a circle', circular, all('FILE_LINK_CIRCULAR')],
  ['a cache without its contents', emptied, all('FILE_LINK_BROKEN')],
]

test('docs/models.md lists them', () => {
  const text = readFileSync(join(repositoryRoot, 'docs/models.md'), 'utf8')
  const rows = kinds.map(([kind, , verdicts]) => `| ${kind} | ${verdicts.join(' | ')} |`)
  expect(text.slice(text.indexOf('|---|'))).toBe(`|---|---|---|---|\n${rows.join('\n')}\n`)
})

/** 'yes' when it comes to an end, else the error's code. */
async function outcome(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return 'yes'
  } catch (error) {
    if (!(error instanceof WarpError)) throw error
    expect(error.exitCode).toBe(3)
    expect(error.hint).not.toBe('')
    return error.code
  }
}

describe.each(kinds)('%s', (_kind, make, verdicts, base = pair.base) => {
  const dir = make()

  test('what inspect says', async () => {
    const found = await inspect(dir)
    expect([found.verdicts.recover, found.verdicts.trace, found.verdicts.merge]).toEqual(verdicts)
    expect(found.usable === 'no').toBe(verdicts.every((verdict) => /^[A-Z]/.test(verdict)))
    for (const code of verdicts.filter((verdict) => /^[A-Z]/.test(verdict)))
      expect(found.problems.map((problem) => problem.code)).toContain(code)
  })

  test.each(['recover', 'trace', 'merge'])('what %s does', async (command) => {
    const verdict = verdicts[['recover', 'trace', 'merge'].indexOf(command)]!
    const both = verdicts[0] === 'as base' ? { base: dir, reference: pair.reference } : { base, reference: dir }
    const expected = verdict.startsWith('as ') ? 'yes' : verdict
    const run = {
      recover: () => recover({ ...both, probes: [probes], points: 2, threads: 2, bootstrap: 20, baseHead: 'zeros' }),
      trace: () => trace({ ...both, threads: 2 }),
      merge: () => merge({ ...both, lambda: 0.5, output: fresh(), threads: 2 }),
    }[command]!
    expect(await outcome(run)).toBe(expected)
  })
})
