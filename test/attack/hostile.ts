import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Random } from '../../lib/random.js'
import { makePair, pairLabels, pairText } from '../support/pair.js'
import { below, one, type Attack } from './attack.js'
import { place, runCommand } from './commands.js'

const nasty = [
  '\u001b]0;title\u0007',
  '\u001b[2J',
  '\u001b[31m',
  '\r',
  '\n',
  '\b',
  '\u009b31m',
  '\u0085',
  '\u202e',
  '\u2066',
  '\u200b',
  '\u2028',
  '\u2029',
  '\ufeff',
  '\u00ad',
  '\u061c',
  'é',
  '漢',
  '😀',
  '"',
  "'",
  '\\',
  '<',
  '&',
  '%s',
  '$(x)',
  '{}',
  'L'.repeat(5000),
  '=cmd()',
  '__proto__',
  'toString',
  ' ',
]
const forbidden = /[^\P{Cc}\n]|[\p{Cf}\p{Zl}\p{Zp}]/u

const text = (random: Random): string => Array.from({ length: 1 + below(random, 6) }, () => one(random, nasty)).join('')

/** Labels, columns, names of files and values of options that want more than to be read. */
export class Hostile implements Attack {
  readonly name = 'hostile strings'
  readonly share = 0.1
  readonly #pair = makePair('bert', { perDomain: 2 })

  async step(random: Random): Promise<string | undefined> {
    const folder = place()
    try {
      const name = text(random).replaceAll(/[/\0]/g, '').slice(0, 60) || 'x'
      const file = join(folder, `${name}.jsonl`)
      mkdirSync(folder, { recursive: true })
      const domains = [text(random), `2${text(random)}`, `3${text(random)}`]
      const rows = Array.from({ length: 9 }, (_, i) => ({
        text: pairText(pairLabels[i % 3], i),
        label: random.uniform() < 0.97 ? pairLabels[i % 3] : text(random),
        domain: domains[i % 3],
      }))
      writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
      const models = ['--base', this.#pair.base, '--reference', this.#pair.reference]
      const args = one(random, [
        ['recover', ...models, '--probes', file, '--points', '2', '--bootstrap', '20'],
        ['recover', ...models, '--probes', file, '--points', '2', '--label', text(random)],
        ['footprint', ...models, '--probes', file, '--points', '2'],
        ['trace', ...models, '--probes', file, '--calibrate', '20'],
        ['recover', ...models, '--probes', join(folder, text(random))],
        ['inspect', join(folder, name)],
        [text(random)],
        ['recover', ...models, '--probes', file, '--path', text(random)],
      ]).map((word) => word.replaceAll('\0', ''))
      const json = random.uniform() < 0.3
      const end = await runCommand([...args, ...(json ? ['--json'] : []), ...(random.uniform() < 0.3 ? ['-v'] : [])])
      const what = JSON.stringify(args).slice(0, 1000)
      if (end.late) return `${what}: it never ended`
      if (![0, 2, 3, 4].includes(end.code ?? -1)) return `${what}: exit ${end.code} ${end.stderr.slice(-500)}`
      const bad = forbidden.exec(end.stdout) ?? forbidden.exec(end.stderr)
      if (bad) return `${what}: printed ${JSON.stringify(bad[0])}`
      if (json) JSON.parse(end.stdout)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
