import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Random } from '../../lib/random.js'
import { fixtureModel, safetensors } from '../support/models.js'
import { one, type Attack } from './attack.js'
import { LineServer } from './child.js'
import { mutant } from './mutate.js'
import type { Answer } from './parse.js'

const python = process.env.WARP_PYTHON ?? 'python3'
const script = `
import sys
from safetensors import safe_open
for line in sys.stdin:
    try:
        with safe_open(line.rstrip("\\n"), framework="np") as file:
            names = list(file.keys())
        print("ok", len(names), flush=True)
    except Exception as error:
        print("refused", str(error).replace("\\n", " ")[:200], flush=True)
`

/** Damaged safetensors files before the reference reader: what it refuses must be refused here. */
export class Differential implements Attack {
  readonly name = 'safetensors against the reference reader'
  readonly share = 0.1
  readonly #reference = new LineServer(python, ['-c', script], 30)
  readonly #parser = new LineServer(process.execPath, [join(__dirname, 'parse.js')], 20)
  readonly #folder = mkdtempSync(join(tmpdir(), 'warp-attack-'))
  readonly #good = [
    readFileSync(join(fixtureModel('bert/reference'), 'model.safetensors')).subarray(),
    safetensors([
      { name: 'a', shape: [2, 3] },
      { name: 'b', shape: [], dtype: 'F16' },
      { name: 'c', shape: [0, 5], dtype: 'BF16' },
      { name: 'd', shape: [7], dtype: 'U8' },
    ]),
    safetensors([{ name: 'x', shape: [1], dtype: 'I64' }], { format: 'pt' }),
    safetensors([]),
  ]

  skip(): string | null {
    const there = spawnSync(python, ['-c', 'import safetensors, numpy']).status === 0
    return there ? null : `${python} (WARP_PYTHON) has no safetensors and numpy`
  }

  async step(random: Random): Promise<string | undefined> {
    const file = join(this.#folder, 'case.safetensors')
    writeFileSync(file, mutant(one(random, this.#good), random))
    const theirs = await this.#reference.ask(file)
    const ours = await this.#parser.ask(JSON.stringify({ target: 'safetensors', path: file }))
    if ('died' in theirs) return `the reference reader: ${theirs.died}`
    if ('died' in ours) return `here: ${ours.died}`
    const { ok } = JSON.parse(ours.answer) as Answer
    if (ok && !theirs.answer.startsWith('ok')) return `accepted here only; the reference reader: ${theirs.answer}`
  }

  async close(): Promise<void> {
    await this.#reference.close()
    await this.#parser.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
