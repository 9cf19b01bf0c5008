// A path of 15 points written to disk: `warp merge` against mergekit (its own Python, WARP_MERGEKIT) and against `cp`
// of the same bytes. --mib=N takes a generated pair of N MiB instead of MiniLM-L6, --points=K, --folder=DIR where to
// write.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { inFolder, median, models, need, root, round, run, warp } from '../common.mjs'

const families = ['linear', 'ties']

export default async function ({ rounds, mib, points = '15', folder: parent = os.tmpdir() }) {
  need(path.join(root, 'dist/bin/warp.js'))
  return inFolder((folder) => {
    const [base, reference] = mib ? generate(folder, Number(mib)) : minilm(folder)
    const bytes = fs.statSync(path.join(base, 'model.safetensors')).size
    const figures = { mebibytes: Math.round(bytes / 2 ** 20), points: Number(points), families: {} }
    for (const family of families)
      figures.families[family] = compare(folder, family, base, reference, Number(points), rounds, bytes)
    return figures
  }, parent)
}

/** MiniLM-L6 as a classifier, and the shipped expert, both F32: what mergekit can read too. */
function minilm(folder) {
  const [base, reference] = ['minilm-l6', 'expert-ag'].map((name) => path.join(models, name))
  need(base, reference)
  return ['0', '1'].map((lambda) => {
    const output = path.join(folder, `end-${lambda}`)
    warp([
      'merge',
      '--base',
      base,
      '--base-head',
      'zeros',
      '--reference',
      reference,
      '--lambda',
      lambda,
      '--dtype',
      'f32',
      '-o',
      output,
      '-q',
    ])
    return output
  })
}

/** Tensors of 16 MiB with values that differ in every element. */
function generate(folder, mib) {
  const count = Math.max(1, Math.round(mib / 16))
  return [1, 1.001].map((scale, side) => {
    const dir = path.join(folder, `side-${side}`)
    fs.mkdirSync(dir)
    fs.writeFileSync(
      path.join(dir, 'config.json'),
      JSON.stringify({ architectures: ['ThingModel'], model_type: 'thing' }),
    )
    const header = {}
    for (let i = 0; i < count; i++)
      header[`t${i}`] = { dtype: 'F32', shape: [2048, 2048], data_offsets: [i * 2 ** 24, (i + 1) * 2 ** 24] }
    const text = Buffer.from(JSON.stringify(header).padEnd(Math.ceil(JSON.stringify(header).length / 8) * 8))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    const file = fs.openSync(path.join(dir, 'model.safetensors'), 'w')
    for (const part of [length, text]) fs.writeSync(file, part)
    const values = new Float32Array(2 ** 22)
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < values.length; j++)
        values[j] = Math.sin(j * (i + 1)) * scale + side * 1e-3 * Math.sin(j * 0.7)
      fs.writeSync(file, new Uint8Array(values.buffer))
    }
    fs.closeSync(file)
    return dir
  })
}

function compare(folder, family, base, reference, points, rounds, bytes) {
  const [ours, copy, theirs] = ['ours', 'copy', 'theirs'].map((name) => path.join(folder, name))
  const seconds = { warp: [], cp: [], mergekit: [] }
  const python = process.env.WARP_MERGEKIT
  const density = family === 'ties' ? ['--density', '0.9'] : []
  for (let i = 0; i < rounds; i++) {
    seconds.warp.push(
      warp([
        'merge',
        '--base',
        base,
        '--reference',
        reference,
        '--path',
        family,
        ...density,
        '--points',
        String(points),
        '-o',
        ours,
        '-q',
      ]).seconds,
    )
    seconds.cp.push(run('cp', ['-r', ours, copy]).seconds)
    for (const dir of [ours, copy]) fs.rmSync(dir, { recursive: true })
    if (!python) continue
    const three = JSON.parse(
      run(python, [
        '-P',
        path.join(root, 'benchmarks/peers/merge_peer.py'),
        family,
        path.join(base, 'model.safetensors'),
        path.join(reference, 'model.safetensors'),
        theirs,
        '3',
      ]).stdout,
    ).seconds
    seconds.mergekit.push(median(three) * points)
    fs.rmSync(theirs, { recursive: true })
  }
  const ratio = (side) => round(median(seconds[side].map((time, i) => time / seconds.warp[i])))
  const middle = (side) => round(median(seconds[side]))
  return {
    seconds: { warp: middle('warp'), cp: middle('cp'), ...(python && { mergekit: middle('mergekit') }) },
    gigabytesPerSecond: round((bytes * points) / 1e9 / median(seconds.warp)),
    ratios: { cp: ratio('cp'), ...(python ? { mergekit: ratio('mergekit') } : {}) },
    ...(python
      ? { mergekit: `median of 3 models × ${points}, import excluded` }
      : { mergekit: 'not measured: set WARP_MERGEKIT to a Python that has it' }),
  }
}
