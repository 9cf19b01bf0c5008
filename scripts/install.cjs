'use strict'
// What npm runs when the package is installed: nothing where a prebuilt addon loads; else the addon is built, or what
// that takes is said. An addon that works is never taken away: a build replaces it when it has ended well.
const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { missing, sources, tools } = require('./build-tools.cjs')

const root = path.resolve(__dirname, '..')
const asked = process.env.npm_config_build_from_source
const fromSource = asked === 'true' || asked === ''

/** Whether the addon that would be loaded loads, in a process of its own. */
const loads = () =>
  spawnSync(process.execPath, ['-e', `require('node-gyp-build')(${JSON.stringify(root)})`], { cwd: root }).status === 0

function fail(lines) {
  process.stderr.write(`${lines.join('\n')}\n`)
  process.exit(1)
}

if (!fromSource && loads()) process.exit(0)

const lacking = missing()
if (lacking.length > 0) {
  fail([
    `warp-recover: there is no prebuilt addon that loads on ${process.platform}-${process.arch}, and to build it these`,
    `are missing: ${lacking.join(', ')}. It takes ${tools.join(', ')}:`,
    ...sources.map((line) => `  ${line}`),
    'then: npm rebuild warp-recover',
  ])
}
for (const name of ['cmake-js', 'node-addon-api']) {
  try {
    require.resolve(`${name}/package.json`, { paths: [root] })
  } catch {
    fail([
      `warp-recover: there is no prebuilt addon that loads on ${process.platform}-${process.arch}.`,
      'To build it, add what the build takes from npm, then build:',
      '  npm install cmake-js@8 node-addon-api@8 && npm rebuild warp-recover',
    ])
  }
}
const built = spawnSync(process.execPath, [path.join(root, 'scripts/gyp-cmake.cjs')], { cwd: root, stdio: 'inherit' })
process.exit(built.status ?? 1)
