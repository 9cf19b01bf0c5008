// The paths' element-wise loops as shares of the copy bandwidth of the same run (bytes read and written together), and the
// selection of ties in linear passes; one thread, its own time. Compiles benchmarks/native/paths.cc against the library of the last native build.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { median, need, root, round, run } from '../common.mjs'

export default async function ({ rounds }) {
  const library = path.join(root, 'build-cmake/libwarp_native.a')
  need(library)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  try {
    const program = path.join(folder, 'paths')
    run(process.env.CXX ?? 'c++', ['-std=c++17', '-O2', `-I${root}/native`, path.join(root, 'benchmarks/native/paths.cc'), library, '-pthread', '-ldl', '-o', program])
    const all = Array.from({ length: rounds }, () => JSON.parse(run(program, ['7']).stdout))
    const middle = (pick) => round(median(all.map(pick)))
    const { kernels } = all[0]
    const figures = { kernels, copy: middle((one) => one.copy) }
    for (const dtype of ['F32', 'F16', 'BF16']) {
      figures[dtype] = Object.fromEntries(Object.keys(all[0][dtype]).map((name) => [name, middle((one) => one[dtype][name])]))
    }
    return figures
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}
