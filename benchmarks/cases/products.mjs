// Our matrix products against those of MKL (PyTorch), OpenBLAS (numpy) and oneDNN (through PyTorch, weights reordered
// beforehand as ours are packed): GFLOP/s on the models' shapes, by instruction set and number of threads, and ours as
// a multiple of the best of them. Each side is a process that stays and is asked in turn (native/products.cc,
// peers/products.py); medians of the rounds, the ratio of each round behind the median ratio. --operation=outer: dW of
// training instead of y; --isas, --threads and --shapes choose parts; --least: seconds of one measurement.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { median, python, root, round, withNative } from '../common.mjs'

const shapes =
  '288x384x384,288x384x1536,288x1536x384,288x576x1536,288x768x3072,288x2048x8192,' +
  '1600x384x384,1600x384x1536,1600x1536x384,1600x576x1536,1600x768x3072,1600x2048x8192'

// How the libraries are told to keep to an instruction set. MKL has kernels of its own for processors that are not
// Intel's and takes AVX-512 there as little as OpenBLAS does, which can be told to.
const environments = {
  avx512: { OPENBLAS_CORETYPE: 'SkylakeX' },
  avx2: { MKL_ENABLE_INSTRUCTIONS: 'AVX2', ONEDNN_MAX_CPU_ISA: 'AVX2', OPENBLAS_CORETYPE: 'Haswell' },
}
// Threads of the libraries turn for a while after a product: this long they get to stop, in ms.
const settle = 40

/** A process that answers each line with one. */
function side(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    ask: async (line) => {
      child.stdin.write(`${line}\n`)
      const { value, done } = await lines.next()
      if (done) throw new Error(`${command} ended at "${line}"`)
      return value
    },
    end: () => child.stdin.end(),
  }
}

/** The libraries' side: it is asked `linear LIBRARY rows outputs inputs seconds`, and gives seconds a product. */
export const peer = (isa, threads) =>
  side(python, ['-P', path.join(root, 'benchmarks/peers/products.py')], {
    ...environments[isa],
    OMP_NUM_THREADS: threads,
    MKL_NUM_THREADS: threads,
    OPENBLAS_NUM_THREADS: threads,
  })

export default function (options) {
  return withNative('products', (program) => measure(program, options))
}

async function measure(program, options) {
  const { rounds, operation = 'linear', least = '0.04' } = options
  const list = (text) => text.split(',')
  const ours = side(program, [])
  const libraries = operation === 'linear' ? ['torch', 'numpy', 'onednn'] : ['torch', 'numpy']
  const rows = []
  let info
  for (const isa of list(options.isas ?? 'avx512,avx2'))
    for (const threads of list(options.threads ?? '1,2')) {
      const others = peer(isa, threads)
      info = JSON.parse(await others.ask('info'))
      for (const shape of list(options.shapes ?? shapes)) {
        const [count, inputs, outputs] = shape.split('x').map(Number)
        const flops = 2 * count * inputs * outputs
        const seen = { warp: [] }
        for (let i = 0; i < rounds; i++) {
          const tail = `${count} ${outputs} ${inputs} ${least}`
          await pause(settle)
          seen.warp.push(flops / Number(await ours.ask(`${operation} ${isa} ${threads} ${tail}`)) / 1e9)
          for (const library of libraries) {
            seen[library] ??= []
            await pause(settle)
            seen[library].push(flops / Number(await others.ask(`${operation} ${library} ${tail}`)) / 1e9)
          }
        }
        const ratios = seen.warp.map((rate, i) => rate / Math.max(...libraries.map((library) => seen[library][i])))
        const rates = Object.fromEntries(Object.entries(seen).map(([name, all]) => [name, round(median(all))]))
        rows.push({
          isa,
          threads: Number(threads),
          shape,
          ...rates,
          ratio: round(median(ratios)),
          ratios: ratios.map((r) => round(r)),
        })
        console.error(`${isa} ${threads} ${shape} ${JSON.stringify(rates)} ${rows.at(-1).ratio}`)
      }
      others.end()
    }
  ours.end()
  const { threads: _, ...versions } = info
  return { operation, versions, gflops: rows }
}
