'use strict'
// Makes the prebuilt addon for this machine in prebuilds/ (scripts/platforms.cjs lists those that are promised) by
// prebuildify and node-gyp. Only in an image as old as the promised glibc does it ask for no newer one.
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { fault, ours, root } = require('./platforms.cjs')

if (!ours) throw new Error(`no prebuild is promised for ${process.platform}-${process.arch}`)
// prebuildify cleans build/ first and moves the addon away: what was in build/ stays
const build = path.join(root, 'build')
const kept = fs.mkdtempSync(path.join(os.tmpdir(), 'warp-build-'))
if (fs.existsSync(build)) fs.cpSync(build, kept, { recursive: true, preserveTimestamps: true })
try {
  const tag = ours.libc ? [`--tag-libc=${ours.libc}`] : []
  const prebuildify = require.resolve('prebuildify/bin.js', { paths: [root] })
  execFileSync(process.execPath, [prebuildify, '--napi', '--strip', ...tag], { cwd: root, stdio: 'inherit' })
} finally {
  fs.cpSync(kept, build, { recursive: true, preserveTimestamps: true })
  fs.rmSync(kept, { recursive: true })
}
const wrong = fault(ours)
process.stderr.write(`${ours.file}: ${wrong ? `for this machine only: ${wrong}` : 'as promised'}\n`)
