'use strict'
// The one way to build the addon: node-gyp (binding.gyp), prebuildify and npm scripts all end here.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const config = process.argv[2] === 'Debug' ? 'Debug' : 'Release'
const workDir = path.join(root, 'build-cmake') // CMake's own tree: node-gyp's clean removes build/, not this
const outDir = path.join(root, 'build', config) // where node-gyp-build and prebuildify look
const cmakeJs = require.resolve('cmake-js/bin/cmake-js', { paths: [root] })

const env = { ...process.env }
// gyp runs us under make: its job server and flags must not leak into CMake's build
for (const name of ['MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'MAKEOVERRIDES', 'BUILDTYPE', 'V']) delete env[name]

const jobs = String(Math.max(1, Number(process.env.JOBS) || os.availableParallelism()))
const defines = ['WARP_CUDA', 'WARP_CUDA_ARCHS', 'WARP_TESTS', 'CMAKE_CUDA_COMPILER']
  .filter((name) => process.env[name])
  .map((name) => `--CD${name}=${process.env[name]}`)

// CMake's tree names its place: one that was moved or copied is made anew
const cache = path.join(workDir, 'CMakeCache.txt')
const home = fs.existsSync(cache) && /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(fs.readFileSync(cache, 'utf8'))?.[1]
if (home && fs.realpathSync(root) !== (fs.existsSync(home) ? fs.realpathSync(home) : home))
  fs.rmSync(workDir, { recursive: true })

function cmake(command, ...more) {
  const args = [
    cmakeJs,
    command,
    '--directory',
    root,
    '--out',
    workDir,
    '--config',
    config,
    '--parallel',
    jobs,
    ...more,
  ]
  const run = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit', env })
  if (run.status !== 0) process.exit(run.status ?? 1)
}
// not cmake-js's `compile`: on an error it rebuilds everything and prints every message twice
cmake('configure', ...defines)
cmake('build')

fs.mkdirSync(outDir, { recursive: true })
const target = path.join(outDir, 'warp.node')
fs.copyFileSync(path.join(workDir, config, 'warp.node'), target + '.tmp')
fs.renameSync(target + '.tmp', target) // never overwrite a file a process has mapped
