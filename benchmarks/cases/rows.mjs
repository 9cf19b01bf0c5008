// Row sums of two embedding tables of 1 GiB each from the disk, next to plain reads of the same files, in turns of 32 MiB:
// GB/s and the sums' share of the plain rate (medians of the rounds); from the page cache once. Compiles benchmarks/native/rows.cc
// against the library of the last native build. --dtype F32, F16 or BF16; --threads N; --rounds is the number of passes over both files.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { need, root, run } from '../common.mjs'

export default async function ({ rounds, dtype = 'BF16', threads = '1' }) {
  const library = path.join(root, 'build-cmake/libwarp_native.a')
  need(library)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-bench-'))
  try {
    const program = path.join(folder, 'rows')
    run(process.env.CXX ?? 'c++', ['-std=c++17', '-O2', `-I${root}/native`, path.join(root, 'benchmarks/native/rows.cc'), library, '-pthread', '-ldl', '-o', program])
    return { dtype, threads: Number(threads), ...JSON.parse(run(program, [folder, dtype, threads, String(rounds)]).stdout) }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}
