'use strict'
// Makes prebuilt addons (scripts/platforms.cjs lists them) in prebuilds/:
//   node scripts/prebuild.cjs                       for this machine, with its compiler, by prebuildify and node-gyp
//   node scripts/prebuild.cjs --zig linux-x64-glibc …   for these or, without names, all, with `zig c++` (pip install
//                                                   ziglang==0.12.1; PYTHON names the Python that has it)
// Only a build with zig, or in an image as old as its glibc, asks for no newer glibc than is promised.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { fault, ours, prebuilds, root } = require('./platforms.cjs')

const label = ({ platform, arch, libc }) => [platform, arch, libc].filter(Boolean).join('-')
const run = (command, args, env = {}) =>
  execFileSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })

/** By prebuildify, which cleans build/ first and moves the addon away: what was in build/ stays. */
function native() {
  if (!ours) throw new Error(`no prebuild is promised for ${process.platform}-${process.arch}`)
  const build = path.join(root, 'build')
  const kept = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-build-'))
  if (fs.existsSync(build)) fs.cpSync(build, kept, { recursive: true, preserveTimestamps: true })
  try {
    const tag = ours.libc ? [`--tag-libc=${ours.libc}`] : []
    run(process.execPath, [require.resolve('prebuildify/bin.js', { paths: [root] }), '--napi', '--strip', ...tag])
  } finally {
    fs.cpSync(kept, build, { recursive: true, preserveTimestamps: true })
    fs.rmSync(kept, { recursive: true })
  }
  const wrong = fault(ours)
  process.stderr.write(`${ours.file}: ${wrong ? `for this machine only: ${wrong}` : 'as promised'}\n`)
}

/** CMake takes a compiler for a program: one that says for which target. */
function wrapper(folder, tool, args) {
  const file = path.join(folder, tool)
  const python = process.env.PYTHON || 'python3'
  fs.writeFileSync(file, `#!/bin/sh\nexec "${python}" -m ziglang ${tool} ${args} "$@"\n`, { mode: 0o755 })
  return file
}

function cross(one) {
  const work = path.join(root, 'build-cmake', `zig-${label(one)}`)
  fs.mkdirSync(work, { recursive: true })
  const headers = ['node-api-headers/include', 'node-addon-api'].map((name) => path.join(root, 'node_modules', name))
  const target = `-target ${one.zig} -s`
  run('cmake', [
    ...['-S', root, '-B', work, '-DCMAKE_BUILD_TYPE=Release', '-DWARP_CUDA=OFF'],
    `-DCMAKE_JS_INC=${headers.join(';')}`,
    `-DCMAKE_SYSTEM_NAME=${one.platform === 'darwin' ? 'Darwin' : 'Linux'}`,
    `-DCMAKE_SYSTEM_PROCESSOR=${one.arch === 'x64' ? 'x86_64' : one.platform === 'darwin' ? 'arm64' : 'aarch64'}`,
    `-DCMAKE_C_COMPILER=${wrapper(work, 'cc', target)}`,
    `-DCMAKE_CXX_COMPILER=${wrapper(work, 'c++', target)}`,
    `-DCMAKE_AR=${wrapper(work, 'ar', '')}`,
    `-DCMAKE_RANLIB=${wrapper(work, 'ranlib', '')}`,
  ])
  run('cmake', [
    '--build',
    work,
    '--target',
    'warp',
    '--parallel',
    process.env.JOBS || String(os.availableParallelism()),
  ])
  const file = path.join(root, one.file)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.copyFileSync(path.join(work, 'warp.node'), `${file}.tmp`)
  fs.renameSync(`${file}.tmp`, file)
  const wrong = fault(one)
  if (wrong) throw new Error(`${one.file}: ${wrong}`)
}

const [mode, ...names] = process.argv.slice(2)
if (mode === undefined) native()
else if (mode === '--zig') {
  const unknown = names.filter((name) => !prebuilds.some((one) => label(one) === name))
  if (unknown.length > 0) throw new Error(`${unknown}: one of ${prebuilds.map(label).join(', ')}`)
  for (const one of prebuilds) if (names.length === 0 || names.includes(label(one))) cross(one)
} else throw new Error(`${mode}: --zig, or nothing`)
