// The weights part of `warp diff`: its pass over two files of 1 GiB each from the disk next to plain reads of them
// (GB/s, its share of the plain rate, medians of the rounds), by dtype; then the whole command on a pair of matrices
// that are in the page cache, without and with singular values, in turns: seconds per billion parameters. In the pair
// 'trained' every value moved by noise, the slowest spectrum there is; in 'adapted' each matrix by a product of rank
// 16.
// --threads N; --rounds is the number of passes over both files, and of runs of the command.
import fs from 'node:fs'
import path from 'node:path'
import { inFolder, median, round, run, warp, withNative } from '../common.mjs'

const [matrices, rows, columns, rank] = [16, 1024, 2816, 16]

function* numbers(seed) {
  let state = seed
  for (;;) {
    let sum = 0
    for (let i = 0; i < 4; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      sum += state / 2 ** 32 - 0.5
    }
    yield sum * Math.sqrt(3) // of variance 1, nearly normal
  }
}

function take(count, seed) {
  const drawn = numbers(seed)
  return Float32Array.from({ length: count }, () => drawn.next().value)
}

/** A model directory of float32 matrices. */
function write(folder, values) {
  fs.mkdirSync(folder)
  const bytes = rows * columns * 4
  const entry = (_, i) => [
    `layers.${i}.up.weight`,
    { dtype: 'F32', shape: [rows, columns], data_offsets: [i * bytes, (i + 1) * bytes] },
  ]
  const header = Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: matrices }, entry))))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const file = fs.openSync(path.join(folder, 'model.safetensors'), 'w')
  for (const part of [length, header]) fs.writeSync(file, part)
  for (let i = 0; i < matrices; i++) fs.writeSync(file, new Uint8Array(values(i).buffer))
  fs.closeSync(file)
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ architectures: ['Made'], model_type: 'made' }))
  return folder
}

function adapted(i) {
  const [left, right] = [take(rows * rank, 3 * i + 1), take(rank * columns, 3 * i + 2)]
  return base(i).map((value, at) => {
    const row = Math.floor(at / columns) * rank
    let sum = 0
    for (let k = 0; k < rank; k++) sum += left[row + k] * right[k * columns + (at % columns)]
    return value + 2.5e-4 * sum
  })
}

const base = (i) => take(rows * columns, 100 + i).map((value) => 0.05 * value)
const trained = (i) => {
  const noise = take(rows * columns, 500 + i)
  return base(i).map((value, at) => value + 1e-3 * noise[at])
}

function commands(folder, rounds, threads) {
  const from = write(path.join(folder, 'base'), base)
  const billions = (matrices * rows * columns) / 1e9
  const pairs = { trained, adapted }
  return Object.fromEntries(
    Object.entries(pairs).map(([name, values]) => {
      const reference = write(path.join(folder, name), values)
      const args = ['diff', '--base', from, '--reference', reference, '--only', 'weights', '-q', '--threads', threads]
      const seconds = { without: [], with: [] }
      for (let i = 0; i < rounds; i++) {
        seconds.without.push(warp([...args, '--singular-values', '0']).seconds)
        seconds.with.push(warp(args).seconds)
      }
      const per = (key) => round(median(seconds[key]) / billions)
      return [name, { secondsPerBillion: { without: per('without'), with: per('with') } }]
    }),
  )
}

export default async function ({ rounds, threads = '2' }) {
  const figures = withNative('rows', (program, folder) =>
    Object.fromEntries(
      ['F32', 'BF16'].map((dtype) => [
        dtype,
        JSON.parse(run(program, [folder, dtype, threads, String(rounds), 'compare']).stdout),
      ]),
    ),
  )
  return { threads: Number(threads), pass: figures, command: inFolder((folder) => commands(folder, rounds, threads)) }
}
