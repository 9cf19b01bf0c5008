// Row sums of two embedding tables of 1 GiB each from the disk, next to plain reads of the same files, in turns of 32
// MiB: GB/s and the sums' share of the plain rate (medians of the rounds); from the page cache once. Compiles
// benchmarks/native/rows.cc against the library of the last native build. --dtype F32, F16 or BF16; --threads N;
// --rounds is the number of passes over both files.
import { run, withNative } from '../common.mjs'

export default async function ({ rounds, dtype = 'BF16', threads = '1' }) {
  const figures = withNative('rows', (program, folder) =>
    JSON.parse(run(program, [folder, dtype, threads, String(rounds)]).stdout),
  )
  return { dtype, threads: Number(threads), ...figures }
}
