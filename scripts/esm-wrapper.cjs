'use strict'
// dist/lib/commit.json: the commit that was built, null outside a clone; and
// dist/lib/index.mjs: named ESM exports over the one CommonJS copy, so that import and require share classes.
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const dir = path.resolve(__dirname, '../dist/lib')
const names = Object.keys(require(path.join(dir, 'index.js'))).filter(
  (name) => name !== 'default' && name !== '__esModule',
)
const lines = names.map((name) => `export const ${name} = warp.${name}\n`)
fs.writeFileSync(path.join(dir, 'index.mjs'), `import warp from './index.js'\n${lines.join('')}`)
fs.writeFileSync(path.join(dir, 'index.d.mts'), "export * from './index.js'\n")

const root = path.resolve(__dirname, '..')
const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? ''
// a folder above may be a repository of its own, whose commits are not ours
const own = git('rev-parse', '--show-prefix') === '' && git('ls-files', 'package.json') !== ''
const modified = git('status', '--porcelain', '--', 'lib', 'bin', 'native') === '' ? '' : '-modified'
fs.writeFileSync(path.join(dir, 'commit.json'), JSON.stringify(own ? git('rev-parse', 'HEAD') + modified : null) + '\n')
