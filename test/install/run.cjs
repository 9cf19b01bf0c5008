'use strict'
// The package as its users get it: prebuild, npm pack, install into an empty folder without a compiler, then
// require, import, types and the command. Needs a built tree (npm test). Closes with `N passed, N failed`.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

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
const write = (name, text) => fs.writeFileSync(path.join(folder, name), text)

const { version, name } = require(path.join(root, 'package.json'))
let tarball

check('prebuild makes one loadable file', () => {
  run('npm', ['run', '-s', 'prebuild'], { cwd: root })
  const dir = path.join(root, 'prebuilds', `${process.platform}-${process.arch}`)
  const built = fs.readdirSync(dir).filter((file) => file.endsWith('.node'))
  expect(built.length, 1)
  expect(typeof require(path.join(dir, built[0])).score, 'function')
  // prebuildify moves the addon away; the working tree keeps its own
  fs.mkdirSync(path.join(root, 'build/Release'), { recursive: true })
  fs.copyFileSync(path.join(dir, built[0]), path.join(root, 'build/Release/warp.node'))
})
check('npm pack', () => {
  const [{ filename, files }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root }),
  )
  tarball = path.join(folder, filename)
  const names = files.map((file) => file.path)
  for (const needed of [
    'dist/lib/index.js',
    'dist/lib/index.mjs',
    'dist/bin/warp.js',
    'CMakeLists.txt',
    'binding.gyp',
  ]) {
    if (!names.includes(needed)) throw new Error(`${needed} is not packed`)
  }
  const stray = names.find((file) => file.startsWith('dist/test') || file.startsWith('test/'))
  if (stray) throw new Error(`${stray} is packed`)
})
check('npm install without a compiler', () => {
  write('package.json', '{"name": "consumer", "private": true}')
  run('npm', ['install', '--no-audit', '--no-fund', tarball], {
    env: { ...process.env, CC: '/nonexistent', CXX: '/nonexistent', CUDACXX: '/nonexistent' },
  })
})
check('require', () => {
  write('a.cjs', `const w = require('${name}'); console.log(typeof w.recover, w.listDevices().version)`)
  expect(run('node', ['a.cjs']).trim(), `function ${version}`)
})
check('import gives the same classes', () => {
  write(
    'b.mjs',
    `import { recover, WarpError } from '${name}'; import { createRequire } from 'node:module'
console.log(typeof recover, createRequire(import.meta.url)('${name}').WarpError === WarpError)`,
  )
  expect(run('node', ['b.mjs']).trim(), 'function true')
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
check('the command', () => {
  expect(run('npx', ['--no-install', 'warp', '--version']).trim(), version)
  expect(JSON.parse(run('npx', ['--no-install', 'warp', 'doctor', '--json'])).schema, 'warp.doctor/1')
})

fs.rmSync(folder, { recursive: true, force: true })
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed ? 1 : 0)
