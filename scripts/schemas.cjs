'use strict'
// Writes schemas/ (the JSON schemas of every result) from the compiled library: node scripts/schemas.cjs
const fs = require('node:fs')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const folder = path.join(root, 'schemas')

/** Texts by name of the file: trace.1.json for warp.trace/1. */
function texts() {
  const { jsonSchemas } = require(path.join(root, 'dist/lib/schemas/index.js'))
  return Object.fromEntries(
    Object.entries(jsonSchemas()).map(([name, schema]) => [
      `${name.replace('warp.', '').replace('/', '.')}.json`,
      `${JSON.stringify(schema, null, 1)}\n`,
    ]),
  )
}

module.exports = { folder, texts }

if (require.main === module) {
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder)
  for (const [name, text] of Object.entries(texts())) fs.writeFileSync(path.join(folder, name), text)
}
