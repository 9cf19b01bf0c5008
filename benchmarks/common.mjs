// What cases share: places, fresh processes, medians.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
export const shared = process.env.WARP_SHARED ?? path.resolve(root, '../shared')
export const models = process.env.WARP_MODELS ?? path.join(os.homedir(), '.cache/warp-models')
export const python = process.env.WARP_PYTHON ?? 'python3'

export function need(...places) {
  const missing = places.filter((place) => !fs.existsSync(place))
  if (missing.length) throw new Error(`not there: ${missing.join(', ')}`)
}

/**
 * Runs a command to its end; stdout and stderr as text, seconds of wall time. An exit code other than 0 is an error.
 */
export function run(command, args, env = {}) {
  // Node reads a workplace's certificates at every start, for .05 s; nothing here goes to a network
  const own = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...env }
  const start = performance.now()
  const done = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, env: own })
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.error ?? done.stderr}`)
  return { stdout: done.stdout, stderr: done.stderr, seconds: (performance.now() - start) / 1000 }
}

export const warp = (args, env) => run(process.execPath, [path.join(root, 'dist/bin/warp.js'), ...args], env)

/** What `work` gives; the folder goes with it. */
export function inFolder(work, parent = os.tmpdir()) {
  const folder = fs.mkdtempSync(path.join(parent, 'warp-bench-'))
  try {
    return work(folder)
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * What `work` gives with native/NAME.cc, compiled against the library of the last native build; it may use the folder.
 */
export function withNative(name, work) {
  const library = path.join(root, 'build-cmake/libwarp_native.a')
  need(library)
  return inFolder((folder) => {
    const program = path.join(folder, name)
    run(process.env.CXX ?? 'c++', [
      '-std=c++17',
      '-O2',
      `-I${root}/native`,
      path.join(root, `benchmarks/native/${name}.cc`),
      library,
      '-pthread',
      '-ldl',
      '-o',
      program,
    ])
    return work(program, folder)
  })
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export const round = (value, digits = 3) => +value.toPrecision(digits)
