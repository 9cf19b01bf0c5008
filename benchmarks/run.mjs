// npm run bench -- CASE [--rounds N] [--dry] [--name=value …, the case's own options]: see README.md.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const here = path.dirname(fileURLToPath(import.meta.url))
const cases = fs
  .readdirSync(path.join(here, 'cases'))
  .filter((file) => file.endsWith('.mjs'))
  .map((file) => file.slice(0, -4))
const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { rounds: { type: 'string', default: '3' }, dry: { type: 'boolean', default: false } },
})
const [name] = positionals
if (!cases.includes(name)) {
  console.error(`usage: npm run bench -- CASE [--rounds N] [--dry]; cases: ${cases.join(', ')}`)
  process.exit(2)
}
const { default: measure } = await import(`./cases/${name}.mjs`)
const started = new Date().toISOString()
const figures = await measure({ ...values, rounds: Number(values.rounds) })
const git = (...args) => execFileSync('git', args, { cwd: here, encoding: 'utf8' }).trim()
const record = {
  case: name,
  date: started,
  commit:
    git('rev-parse', '--short', 'HEAD') +
    (git('status', '--porcelain', '--', '../lib', '../native', '../bin') ? '+' : ''),
  machine: {
    cpu: os.cpus()[0].model,
    processors: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    node: process.version,
    load: os.loadavg().map((x) => +x.toFixed(2)),
  },
  rounds: Number(values.rounds),
  ...figures,
}
console.log(JSON.stringify(record, null, 2))
if (!values.dry) fs.appendFileSync(path.join(here, 'results', `${name}.jsonl`), JSON.stringify(record) + '\n')
