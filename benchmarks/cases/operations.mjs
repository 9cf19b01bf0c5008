// How many times faster the CPU's operations are than simple loops, and what attention's tangent and gradients cost as
// multiples of its forward pass. Compiles benchmarks/native/operations.cc against the library of the last native build;
// WARP_ISA asks for an instruction set.
import { median, round, run, withNative } from '../common.mjs'

export default async function ({ rounds }) {
  const all = withNative('operations', (program) =>
    Array.from({ length: rounds }, () => JSON.parse(run(program, ['7']).stdout)),
  )
  const { kernels, ...figures } = all[0]
  return {
    kernels,
    ...Object.fromEntries(Object.keys(figures).map((name) => [name, round(median(all.map((one) => one[name])))])),
  }
}
