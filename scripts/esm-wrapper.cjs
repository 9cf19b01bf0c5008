'use strict'
// dist/lib/index.mjs: named ESM exports over the one CommonJS copy, so that import and require share classes.
const fs = require('node:fs')
const path = require('node:path')

const dir = path.resolve(__dirname, '../dist/lib')
const names = Object.keys(require(path.join(dir, 'index.js'))).filter((name) => name !== 'default' && name !== '__esModule')
const lines = names.map((name) => `export const ${name} = warp.${name}\n`)
fs.writeFileSync(path.join(dir, 'index.mjs'), `import warp from './index.js'\n${lines.join('')}`)
fs.writeFileSync(path.join(dir, 'index.d.mts'), "export * from './index.js'\n")
