'use strict'
// Refuses a release that would lack something: node scripts/prepublish.cjs [--here]
// Every file and folder that package.json promises is there and packed, every prebuild (--here: the one for this
// machine, whatever glibc it asks for) is for its machine, the one for this machine loads, and what is compiled is
// newer than its sources and from a commit of its own.
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { fault, ours, prebuilds, root } = require('./platforms.cjs')

const here = process.argv.includes('--here')
const faults = []
const pack = require(path.join(root, 'package.json'))
const at = (...parts) => path.join(root, ...parts)

for (const place of pack.files) if (!fs.existsSync(at(place))) faults.push(`${place} of "files" is not there`)
const promised = [pack.main, pack.types, ...Object.values(pack.bin), 'README.md', 'LICENSE', 'CHANGELOG.md']
const targets = (entry) => (typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(targets))
for (const target of targets(pack.exports)) if (!target.includes('*')) promised.push(target)
const packed = new Set(
  JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8' }))
    .flatMap(({ files }) => files)
    .map((file) => file.path),
)
for (const file of promised.map((name) => path.normalize(name)))
  if (!packed.has(file)) faults.push(`${file} is promised and not packed`)

for (const one of here ? [ours] : prebuilds) {
  const wrong = one ? fault(one) : `no prebuild is promised for ${process.platform}-${process.arch}`
  if (wrong && !(here && wrong.startsWith('asks for glibc '))) faults.push(`${one?.file ?? 'prebuilds'} ${wrong}`)
  if (one && !packed.has(one.file)) faults.push(`${one.file} is not packed`)
}
if (ours && fs.existsSync(at(ours.file))) {
  const script = `process.stdout.write(typeof require(${JSON.stringify(at(ours.file))}).openWeights)`
  const loaded = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  if (loaded.stdout !== 'function')
    faults.push(`${ours.file} does not load: ${loaded.stderr.trim().split('\n').at(-1)}`)
}

if (!here && !pack.repository) faults.push('package.json names no "repository": provenance and README’s links need it')
const commit = fs.existsSync(at('dist/lib/commit.json')) && JSON.parse(fs.readFileSync(at('dist/lib/commit.json')))
if (!here && (!commit || commit.endsWith('-modified')))
  faults.push('dist is not built from a commit: commit, then npm run build')

for (const line of faults) process.stderr.write(`prepublish: ${line}\n`)
process.stderr.write(
  faults.length ? `prepublish: refused, ${faults.length} faults\n` : 'prepublish: nothing is missing\n',
)
process.exitCode = faults.length ? 1 : 0
