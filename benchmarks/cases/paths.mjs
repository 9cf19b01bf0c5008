// The paths' element-wise loops as shares of the copy bandwidth of the same run (bytes read and written together), and
// the selection of ties in linear passes; one thread, its own time. Compiles benchmarks/native/paths.cc against the
// library of the last native build.
import { median, round, run, withNative } from '../common.mjs'

export default async function ({ rounds }) {
  const all = withNative('paths', (program) =>
    Array.from({ length: rounds }, () => JSON.parse(run(program, ['7']).stdout)),
  )
  const middle = (pick) => round(median(all.map(pick)))
  const { kernels } = all[0]
  const figures = { kernels, copy: middle((one) => one.copy) }
  for (const dtype of ['F32', 'F16', 'BF16']) {
    figures[dtype] = Object.fromEntries(
      Object.keys(all[0][dtype]).map((name) => [name, middle((one) => one[dtype][name])]),
    )
  }
  return figures
}
