'use strict'
// Every test, after scripts/setup.cjs --tests: native programs (ctest), then jest. Closes with one plain line
// `N passed, N failed, N skipped` over both; exit code 1 if any failed or none ran.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
let passed = 0
let failed = 0
let skipped = 0

const native = spawnSync('ctest', ['--test-dir', path.join(root, 'build-cmake'), '--output-on-failure'], {
  encoding: 'utf8',
})
process.stdout.write(native.stdout ?? '')
const counted = /(\d+)% tests passed, (\d+) tests failed out of (\d+)/.exec(native.stdout ?? '')
if (counted) {
  failed += Number(counted[2])
  passed += Number(counted[3]) - Number(counted[2])
} else failed += 1
console.log(`CUDA kernels and the flow on a GPU, executed on the CPU: ${shimTests()}`)

// What the cuda_* programs counted themselves; ctest counts a program as one test.
function shimTests() {
  const log = path.join(root, 'build-cmake/Testing/Temporary/LastTest.log')
  const text = fs.existsSync(log) ? fs.readFileSync(log, 'utf8') : ''
  let [passes, failures] = [0, 0]
  for (const part of text.split('Testing: ').filter((section) => section.startsWith('cuda_'))) {
    const last = [...part.matchAll(/^(\d+) passed, (\d+) failed$/gm)].pop()
    passes += Number(last?.[1] ?? 0)
    failures += Number(last?.[2] ?? 1)
  }
  return `${passes} passed, ${failures} failed`
}

const report = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'warp-test-')), 'jest.json')
const jest = spawnSync(
  process.execPath,
  [path.join(root, 'node_modules/jest/bin/jest.js'), '--json', '--outputFile', report, ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --no-warnings` },
  },
)
try {
  const result = JSON.parse(fs.readFileSync(report, 'utf8'))
  passed += result.numPassedTests
  failed += result.numFailedTests + result.numRuntimeErrorTestSuites
  skipped += result.numPendingTests
} catch {
  failed += 1
}
fs.rmSync(path.dirname(report), { recursive: true, force: true })
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`)
process.exit(failed || !passed || (jest.status ?? 1) ? 1 : 0)
