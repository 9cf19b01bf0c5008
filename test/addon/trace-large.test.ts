import { spawnSync } from 'node:child_process'
import { mkdirSync, openSync, closeSync, ftruncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { container, safetensors, temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'
import { encode } from '../support/trace-models.js'
import { stored } from '../support/trace-tables.js'

const rows = 152_000,
  columns = 8192
const name = 'model.embed_tokens.weight'

const pattern = stored(
  Float32Array.from({ length: columns + 2000 }, (_, j) => Math.sin(j) / 32),
  'BF16',
)
const moved = stored(
  pattern.map((value, j) => value + (j % 2 ? 1 : -1) / 4096),
  'BF16',
)

/** Row v of the base, and as trained; exact in bfloat16. */
const row = (v: number, trained: boolean): Uint8Array =>
  encode((trained ? moved : pattern).subarray(v, v + columns), 'BF16')

/** A sharded directory whose table is a sparse file: rows 0 … 1999 are written, the others are zeros. */
function sharded(trained: boolean): string {
  const dir = join(temporaryDirectory(), trained ? 'reference' : 'base')
  mkdirSync(dir)
  const header = container(
    JSON.stringify({ [name]: { dtype: 'BF16', shape: [rows, columns], data_offsets: [0, rows * columns * 2] } }),
  )
  const file = openSync(join(dir, 'model-00001-of-00002.safetensors'), 'w')
  writeSync(file, header)
  ftruncateSync(file, header.length + rows * columns * 2)
  for (let v = 0; v < 2000; v++) {
    writeSync(file, row(v, trained && v < 1000), 0, columns * 2, header.length + v * columns * 2)
  }
  closeSync(file)
  writeFileSync(join(dir, 'model-00002-of-00002.safetensors'), safetensors([{ name: 'model.norm.weight', shape: [4] }]))
  writeFileSync(
    join(dir, 'model.safetensors.index.json'),
    JSON.stringify({
      metadata: {},
      weight_map: {
        [name]: 'model-00001-of-00002.safetensors',
        'model.norm.weight': 'model-00002-of-00002.safetensors',
      },
    }),
  )
  writeFileSync(
    join(dir, 'config.json'),
    JSON.stringify({
      architectures: ['LlamaModel'],
      model_type: 'llama',
      hidden_size: columns,
      vocab_size: rows,
      tie_word_embeddings: false,
    }),
  )
  return dir
}

const slow = process.env.WARP_SLOW ? test : test.skip

slow(
  'a table of 152 000 × 8 192 bfloat16 is traced within 300 MB',
  () => {
    const script = `const { trace } = require(${JSON.stringify(join(repositoryRoot, 'dist/lib/index.js'))})
    trace({ base: process.argv[1], reference: process.argv[2] }).then(({ result, tokens }) => console.log(
      JSON.stringify({ verdict: result.verdict, count: result.trainedTokens.count, last: tokens.at(-1).id,
      frozen: result.frozen, rss: process.resourceUsage().maxRSS })))`
    const done = spawnSync(process.execPath, ['-e', script, sharded(false), sharded(true)], { encoding: 'utf8' })
    expect(done.stderr).toBe('')
    const found = JSON.parse(done.stdout)
    process.stderr.write(`${done.stdout}\n`)
    expect(found).toMatchObject({ verdict: 'exact', count: 1000, last: 999, frozen: ['norm.weight'] })
    expect(found.rss).toBeLessThan(300 * 1024) // kilobytes
  },
  600_000,
)
