// What the networks of the small fixtures gave before one description of a network took the place of BERT's and
// GPT-2's own code: the same bits since, on every instruction set. Written by WARP_GOLDENS=write.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSession } from '../../lib/footprint/session.js'
import { scoreProbes } from '../../lib/footprint/score.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'
import { domainFile, trainableModel } from '../support/training.js'

const file = join(repositoryRoot, 'test/fixtures/goldens.json')
const recorded = existsSync(file)
  ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, string | number>>)
  : {}
const isas = ['avx512', 'avx2', 'portable']

const sha256 = (bytes: ArrayBufferView): string =>
  createHash('sha256')
    .update(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    .digest('hex')

async function scores(kind: 'bert' | 'gpt2'): Promise<Record<string, string | number>> {
  const pair = makePair(kind)
  const options = { base: pair.base, reference: pair.reference, probes: [pair.probes], points: 5, threads: 2 }
  const found: Record<string, string | number> = {}
  for (const scope of kind === 'bert' ? (['head', 'top'] as const) : (['head'] as const)) {
    const session = await openSession({ ...options, scope }, true)
    try {
      const result = await scoreProbes(
        session.pathHandle,
        session.network,
        session.packed,
        session.probes.domains.length,
        session.score,
      )
      found[`${scope} loss`] = sha256(result.loss)
      found[`${scope} alignment`] = sha256(result.alignment)
      found[`${scope} logits`] = sha256(result.logits)
      found[`${scope} gradients`] = sha256(
        Float64Array.from(result.gradients.flatMap(({ gram, perProbe }) => [...gram, ...perProbe])),
      )
      found[`${scope} peak bytes`] = session.plan.peakBytes
    } finally {
      session.close()
    }
  }
  return found
}

async function weights(kind: 'bert' | 'gpt2'): Promise<Record<string, string>> {
  const output = join(temporaryDirectory(), 'out')
  const labels = ['red', 'green', 'blue']
  const data = [domainFile(labels, 20)]
  const { loss } = await train({
    base: trainableModel(kind),
    data,
    output,
    epochs: 2,
    batch: 8,
    learningRate: 1e-3,
    dropout: 0.1,
    seed: 3,
    threads: 2,
  })
  return { loss: sha256(Float64Array.from(loss)), trained: sha256(readFileSync(join(output, 'model.safetensors'))) }
}

describe.each(isas)('%s', (isa) => {
  const before = process.env.WARP_ISA
  beforeAll(() => {
    process.env.WARP_ISA = isa
  })
  afterAll(() => {
    if (before === undefined) delete process.env.WARP_ISA
    else process.env.WARP_ISA = before
  })

  test.each(['bert', 'gpt2'] as const)(
    '%s scores, aligns and trains to the recorded bits, within the recorded memory',
    async (kind) => {
      let found: Record<string, string | number>
      try {
        found = { ...(await scores(kind)), ...(await weights(kind)) }
      } catch (error) {
        if ((error as { code?: string }).code !== 'ISA_UNAVAILABLE') throw error
        return console.warn(`skipped: this processor has no ${isa}`)
      }
      const key = `${isa} ${kind}`
      if (process.env.WARP_GOLDENS === 'write') {
        recorded[key] = found
        return writeFileSync(file, `${JSON.stringify(recorded, null, 1)}\n`)
      }
      for (const [name, value] of Object.entries(recorded[key]!)) {
        if (typeof value === 'number') expect(found[name]).toBeLessThanOrEqual(1.05 * value)
        else expect([name, found[name]]).toEqual([name, value])
      }
    },
  )
})
