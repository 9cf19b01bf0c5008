// A 12 GB pair of sharded checkpoints, mostly holes, merged and footprinted within 2 GiB and the largest tensor: a
// limit that the kernel holds the process to (what it may allocate: `prlimit --data`), and the resident peak.
// Minutes and 12 GB of disk: only with WARP_SLOW=1 (WARP_TMP says where, default the system's temporary folder).
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSafetensorsHeader, type TensorPlan } from '../../lib/checkpoint/index.js'
import { bertConfig } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { wordPieceOf } from '../support/tokenizer-json.js'

const slow = process.env.WARP_SLOW ? test : test.skip
if (!process.env.WARP_SLOW) process.stderr.write('skipped: merge and footprint of a 12 GB pair: set WARP_SLOW=1\n')

const [hidden, inner, layers, vocabulary] = [2304, 9216, 94, 2000]
const config = {
  ...bertConfig,
  hidden_size: hidden,
  num_hidden_layers: layers,
  num_attention_heads: 36,
  intermediate_size: inner,
  vocab_size: vocabulary,
  max_position_embeddings: 512,
}

function tensors(): TensorPlan[][] {
  const plan = (name: string, ...shape: number[]): TensorPlan => ({ name: `bert.${name}`, dtype: 'BF16', shape })
  const dense = (name: string, rows: number, columns: number) => [
    plan(`${name}.weight`, rows, columns),
    plan(`${name}.bias`, rows),
  ]
  const norm = (name: string) => [plan(`${name}.weight`, hidden), plan(`${name}.bias`, hidden)]
  const first = [
    plan('embeddings.word_embeddings.weight', vocabulary, hidden),
    plan('embeddings.position_embeddings.weight', 512, hidden),
    plan('embeddings.token_type_embeddings.weight', 2, hidden),
    ...norm('embeddings.LayerNorm'),
    ...dense('pooler.dense', hidden, hidden),
    { name: 'classifier.weight', dtype: 'BF16' as const, shape: [2, hidden] },
    { name: 'classifier.bias', dtype: 'BF16' as const, shape: [2] },
  ]
  const layer = (i: number): TensorPlan[] => {
    const at = `encoder.layer.${i}`
    return [
      ...['query', 'key', 'value'].flatMap((name) => dense(`${at}.attention.self.${name}`, hidden, hidden)),
      ...dense(`${at}.attention.output.dense`, hidden, hidden),
      ...norm(`${at}.attention.output.LayerNorm`),
      ...dense(`${at}.intermediate.dense`, inner, hidden),
      ...dense(`${at}.output.dense`, hidden, inner),
      ...norm(`${at}.output.LayerNorm`),
    ]
  }
  const shards: TensorPlan[][] = [first]
  for (let i = 0; i < layers; i++) {
    if (i % 16 === 0) shards.push([])
    shards.at(-1)!.push(...layer(i))
  }
  return shards
}

/** Holes, but for `value` at the start of every tensor's data. */
function writeModel(dir: string, value: number): number {
  mkdirSync(dir)
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config))
  const shards = tensors()
  const weight_map: Record<string, string> = {}
  let total = 0
  shards.forEach((plans, i) => {
    const file = `model-${String(i + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`
    const { header, offsets, fileSize } = writeSafetensorsHeader(plans)
    const handle = openSync(join(dir, file), 'w')
    writeSync(handle, header)
    ftruncateSync(handle, fileSize)
    for (const offset of offsets) writeSync(handle, Uint16Array.of(value), 0, 2, offset)
    closeSync(handle)
    for (const { name } of plans) weight_map[name] = file
    total += fileSize
  })
  writeFileSync(
    join(dir, 'model.safetensors.index.json'),
    JSON.stringify({ metadata: { total_size: total }, weight_map }),
  )
  const tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a', 'b', 'c', 'd']
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify(wordPieceOf(tokens)))
  return total
}

/**
 * Runs a call of the library in a process of its own, which cannot allocate more than `limit`; gives its peak resident
 * bytes.
 */
function peak(call: string, options: object, limit: number): number {
  const script = `const w = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/index.js'))})
    const end = () => console.log(process.resourceUsage().maxRSS * 1024)
    w.${call}(${JSON.stringify(options)}).then(end, (error) => { console.error(error); process.exit(1) })`
  const done = spawnSync('prlimit', [`--data=${limit}`, process.execPath, '-e', script], { encoding: 'utf8' })
  if (done.status !== 0) throw new Error(done.stderr ?? String(done.error))
  return Number(done.stdout)
}

slow(
  'peak memory does not grow with the checkpoint',
  () => {
    const dir = mkdtempSync(join(process.env.WARP_TMP ?? tmpdir(), 'warp-large-'))
    try {
      const [base, reference] = [join(dir, 'base'), join(dir, 'reference')]
      const bytes = writeModel(base, 0x3c00)
      writeModel(reference, 0x3c40)
      expect(bytes).toBeGreaterThan(12e9)
      const limit = 2 ** 31 + inner * hidden * 2
      const figures: Record<string, number> = {}
      for (const path of ['linear', 'ties']) {
        figures[`merge ${path}`] = peak(
          'merge',
          { base, reference, path, lambda: 0.5, output: join(dir, 'out') },
          limit,
        )
        rmSync(join(dir, 'out'), { recursive: true })
      }
      const probes = join(dir, 'probes.jsonl')
      writeFileSync(
        probes,
        ['a b', 'c d'].map((text, i) => JSON.stringify({ text, label: ['no', 'yes'][i] })).join('\n'),
      )
      figures['footprint linear'] = peak('footprint', { base, reference, probes: [probes], points: 1 }, limit)
      process.stderr.write(
        `peak memory of a ${(bytes / 1e9).toFixed(1)} GB pair: ${JSON.stringify(figures)}, limit ${limit}\n`,
      )
      for (const figure of Object.values(figures)) expect(figure).toBeLessThan(limit)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
  1_800_000,
)
