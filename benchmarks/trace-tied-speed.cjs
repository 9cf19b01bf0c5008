'use strict'
// How long the scores of a large tied table take, beside plain reads of both tables, and in how much memory.
//   node benchmarks/trace-tied-speed.cjs FOLDER [ROWS COLUMNS ROUNDS] [disk] > results.jsonl
// Writes two bfloat16 tables (default 152 000 x 4 096: 2.5 GB) into FOLDER, of which every number moves by its last
// place or not at all; both ways of reading take turns. With "disk" the files leave the page cache first (GNU dd), else
// they are in it. Needs a build (npm run build).
const { closeSync, existsSync, mkdirSync, openSync, readSync, writeFileSync, writeSync } = require('node:fs')
const { spawnSync } = require('node:child_process')
const { join } = require('node:path')
const os = require('node:os')
const lib = join(__dirname, '..', 'dist', 'lib')
const { nativeWeights, openModel } = require(join(lib, 'checkpoint'))
const { addon } = require(join(lib, 'native', 'load'))

const [folder, rowsText = '152000', columnsText = '4096', roundsText = '5', from = 'cache'] = process.argv.slice(2)
const rows = Number(rowsText),
  columns = Number(columnsText)
const name = 'model.embed_tokens.weight'
const part = 1000 // rows written at once

/** Numbers of about a thirtieth in bfloat16, by xorshift; of the reference each moved by one bit of its last place. */
function write(dir, moved) {
  if (existsSync(join(dir, 'config.json'))) return
  mkdirSync(dir, { recursive: true })
  const header = Buffer.from(
    JSON.stringify({ [name]: { dtype: 'BF16', shape: [rows, columns], data_offsets: [0, rows * columns * 2] } }),
  )
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(header.length))
  const file = openSync(join(dir, 'model.safetensors'), 'w')
  writeSync(file, size)
  writeSync(file, header)
  let state = 88172645
  for (let v = 0; v < rows; v += part) {
    const block = new Uint16Array(Math.min(part, rows - v) * columns)
    for (let i = 0; i < block.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      // sign and seven bits of the significand; an exponent of -5
      block[i] = (state & 0x8000) | (122 << 7) | (state & 0x7f)
      if (moved) block[i] ^= (state >>> 16) & 1
    }
    writeSync(file, new Uint8Array(block.buffer))
  }
  closeSync(file)
  const config = { architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: columns, vocab_size: rows }
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, tie_word_embeddings: true }))
}

function read(dir) {
  const file = openSync(join(dir, 'model.safetensors'), 'r')
  const block = Buffer.alloc(1 << 20)
  while (readSync(file, block) > 0);
  closeSync(file)
}

function forget() {
  if (from !== 'disk') return
  for (const dir of ['base', 'reference']) {
    const { status } = spawnSync('dd', [`if=${join(folder, dir, 'model.safetensors')}`, 'iflag=nocache', 'count=0'])
    if (status !== 0) throw new Error('dd does not take iflag=nocache')
  }
}

async function main() {
  const dirs = ['base', 'reference'].map((which) => join(folder, which))
  dirs.forEach((dir, i) => write(dir, i === 1))
  const opened = await Promise.all(dirs.map((dir) => openModel(dir, { forward: false, tableOnly: true })))
  const [base, reference] = opened.map((model) => nativeWeights(model))
  // as lib/trace/tied.ts asks for a vocabulary of which texts hold a fifth
  const fit = Uint32Array.from({ length: 20_000 }, (_, i) => Math.floor((i * rows) / 20_000))
  const request = { name: opened[0].inputEmbedding, fit, columns: 512, threads: os.availableParallelism() }
  const before = process.resourceUsage().maxRSS
  const seconds = { read: [], scores: [], processor: [] }
  for (let round = 0; round < Number(roundsText); round++) {
    forget()
    let start = performance.now()
    dirs.forEach(read)
    seconds.read.push((performance.now() - start) / 1000)
    forget()
    start = performance.now()
    const own = process.cpuUsage()
    const { fitted } = await addon().tiedScores(base, reference, request, undefined).promise
    seconds.scores.push((performance.now() - start) / 1000)
    const { user, system } = process.cpuUsage(own)
    seconds.processor.push((user + system) / 1e6)
    if (fitted < 1000) throw new Error(`${fitted} rows were fitted`)
  }
  const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1]
  const ratios = seconds.scores.map((value, i) => value / seconds.read[i])
  console.log(
    JSON.stringify({
      rows,
      columns,
      threads: request.threads,
      from,
      read: median(seconds.read),
      scores: median(seconds.scores),
      processor: median(seconds.processor),
      ratio: median(ratios),
      ratios,
      // kilobytes
      memory: process.resourceUsage().maxRSS - before,
      resident: process.resourceUsage().maxRSS,
    }),
  )
}
void main()
