// What `select` wrote is read back as what it is, or refused.
import { spawnSync } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { evaluateSelection, select } from '../../lib/select/index.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'

const { base, reference, probes } = makePair('bert', { perDomain: 6 })
const made = join(temporaryDirectory(), 'made')
const file = (selection: string): string => join(selection, 'selection.jsonl')
const evaluate = (selection: string) => evaluateSelection({ selection, test: [probes], labels: 'soft', epochs: 1 })

beforeAll(async () => {
  const { result, documents } = await select({
    base,
    reference,
    corpus: [probes],
    features: 'head',
    count: 3,
    output: made,
  })
  writeFileSync(join(made, 'result.json'), JSON.stringify(result))
  writeFileSync(file(made), documents.map((document) => `${JSON.stringify(document)}\n`).join(''))
})

function copy(): string {
  const selection = join(temporaryDirectory(), 'copy')
  cpSync(made, selection, { recursive: true })
  return selection
}

test.each([null, [1], [5, -5, 1], [0, 0, 0]])(
  'documents with the probabilities %j are not learned from',
  async (wrong) => {
    const selection = copy()
    const [first, ...rest] = readFileSync(file(selection), 'utf8').split('\n')
    writeFileSync(file(selection), [JSON.stringify({ ...JSON.parse(first), probabilities: wrong }), ...rest].join('\n'))
    await expect(evaluate(selection)).rejects.toMatchObject({ code: 'EVALUATE_PROBABILITIES', kind: 'input' })
  },
)

test('a model that was replaced since is not the one that selected', async () => {
  const selection = copy()
  const result = JSON.parse(readFileSync(join(selection, 'result.json'), 'utf8'))
  for (const [role, dir] of Object.entries({ base, reference })) {
    const other = join(temporaryDirectory(), role)
    cpSync(dir, other, { recursive: true })
    const bytes = readFileSync(join(other, 'model.safetensors'))
    bytes[bytes.length - 4] ^= 1 // the lowest bits of its last number
    writeFileSync(join(other, 'model.safetensors'), bytes)
    writeFileSync(join(selection, 'result.json'), JSON.stringify({ ...result, [role]: other }))
    await expect(evaluate(selection)).rejects.toMatchObject({ code: 'SELECTION_MODELS', kind: 'input' })
  }
})

test('nobody waits for a pipe in the place of the documents', async () => {
  const selection = copy()
  rmSync(file(selection))
  await expect(evaluate(selection)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  spawnSync('mkfifo', [file(selection)])
  await expect(evaluate(selection)).rejects.toMatchObject({ code: 'FILE_NOT_REGULAR' })
})
