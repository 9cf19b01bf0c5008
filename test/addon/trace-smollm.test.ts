import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../lib/random.js'
import { trace } from '../../lib/trace/index.js'
import { safetensors, temporaryDirectory } from '../support/models.js'
import { modelDir, whenPresent } from '../support/shared.js'

const base = modelDir('smollm2-135m')
const table = 'model.embed_tokens.weight'

const single = new Float32Array(1),
  word = new Uint32Array(single.buffer)

/** Every half as a bfloat16 number, rounded to nearest even; `moved` adds to the value first. */
function bfloat(half: number, moved = 0): number {
  const exponent = (half >> 10) & 31,
    fraction = half & 1023
  const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15)
  single[0] = (half & 0x8000 ? -size : size) + moved
  return (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) >>> 16
}

/** The table of the base, stored as bfloat16 after some of its rows moved; configuration and tokenizer as they are. */
function reference(name: string, moves: (row: number) => boolean): string {
  const dir = join(temporaryDirectory(), name),
    file = readFileSync(join(base, 'model.safetensors'))
  const start = 8 + Number(file.readBigUInt64LE(0)),
    {
      dtype,
      shape: [rows, columns],
      data_offsets: [begin],
    } = JSON.parse(file.toString('utf8', 8, start))[table]
  expect(dtype).toBe('F16')
  const random = new Random(3, 'smollm'),
    noise = Float64Array.from({ length: 65521 }, () => 0.01 * random.normal())
  const rounded = Uint16Array.from({ length: 65536 }, (_, half) => bfloat(half))
  const stored = new Uint16Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    const moved = moves(row)
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      const half = file.readUInt16LE(start + begin + 2 * i)
      stored[i] = moved ? bfloat(half, noise[i % noise.length]) : rounded[half]
    }
  }
  mkdirSync(dir)
  writeFileSync(
    join(dir, 'model.safetensors'),
    safetensors([{ name: table, dtype: 'BF16', shape: [rows, columns], data: new Uint8Array(stored.buffer) }]),
  )
  for (const other of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(base, other), join(dir, other))
  return dir
}

whenPresent(base)(
  'SmolLM2: rows that moved are found in a bfloat16 copy',
  async () => {
    const trained = (row: number) => row % 37 === 5
    const { result, tokens } = await trace({ base, reference: reference('some', trained) })
    expect(result).toMatchObject({ verdict: 'exact', longestText: null, trainedTokens: { rows: 49152, undecided: 0 } })
    expect(tokens.map(({ id }) => id)).toEqual(Array.from({ length: 49152 }, (_, row) => row).filter(trained))
  },
  120_000,
)

whenPresent(base)(
  'SmolLM2: when every row moved, the tied output layer is named',
  async () => {
    const { result } = await trace({ base, reference: reference('every', () => true) })
    expect(result.verdict).toBe('none')
    expect(result.reason).toMatch(/every row moved.*lm_head\.weight is tied/)
  },
  120_000,
)
