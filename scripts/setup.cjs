'use strict'
// First step of `npm start` and `npm test`: from a bare clone to something that runs. No dependencies.
// Skips what is up to date (by the newest modification time of its inputs); names what is missing.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { missing, sources, tools } = require('./build-tools.cjs')

const root = path.resolve(__dirname, '..')
const withTests = process.argv.includes('--tests')
const at = (...parts) => path.join(root, ...parts)

function fail(message) {
  process.stderr.write(`setup: ${message}\n`)
  process.exit(1)
}

function run(title, command, args, env = {}) {
  process.stderr.write(`setup: ${title}\n`)
  const done = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, ...env } })
  if (done.error) fail(`cannot start ${command}: ${done.error.message}`)
  if (done.status !== 0) fail(`${title} failed (exit ${done.status})`)
}

function newest(...places) {
  let latest = 0
  for (const place of places) {
    const stat = fs.statSync(at(place), { throwIfNoEntry: false })
    if (!stat) continue
    latest = Math.max(latest, stat.mtimeMs)
    if (stat.isDirectory())
      for (const name of fs.readdirSync(at(place))) latest = Math.max(latest, newest(path.join(place, name)))
  }
  return latest
}
const stampTime = (name) => fs.statSync(at(name), { throwIfNoEntry: false })?.mtimeMs ?? 0
const stamp = (name) => {
  fs.mkdirSync(path.dirname(at(name)), { recursive: true })
  fs.writeFileSync(at(name), '')
}

function checkTools() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 17))
    fail(`Node ${process.versions.node} is too old: 20.17 or newer is needed`)
  const lacking = missing()
  if (lacking.length > 0)
    fail(`these are missing: ${lacking.join(', ')}. It takes ${tools.join(', ')}:\n  ${sources.join('\n  ')}`)
}

function main() {
  checkTools()
  if (newest('package-lock.json') > stampTime('node_modules/.warp-installed')) {
    run('installing packages (npm ci)', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'])
    stamp('node_modules/.warp-installed')
  }
  const nativeStamp = withTests ? 'build/.with-tests' : 'build/.built'
  const built = Math.max(stampTime('build/.with-tests'), withTests ? 0 : stampTime('build/.built'))
  if (
    newest('native', 'CMakeLists.txt', ...(withTests ? ['test/native'] : [])) > built ||
    !fs.existsSync(at('build/Release/warp.node'))
  ) {
    run('building the addon', process.execPath, ['scripts/gyp-cmake.cjs'], withTests ? { WARP_TESTS: 'ON' } : {})
    stamp(nativeStamp)
  }
  if (newest('lib', 'bin', 'test', 'tsconfig.json') > stampTime('dist/.built')) {
    fs.rmSync(at('dist'), { recursive: true, force: true })
    run('compiling TypeScript', process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'])
    run('writing the ESM entry', process.execPath, ['scripts/esm-wrapper.cjs'])
    stamp('dist/.built')
  }
}
main()
