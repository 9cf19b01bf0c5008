// `--device cuda` from end to end: the addon over kernels that the CPU executes (test/native/cuda/shim), every
// architecture in every scope against the same addon's CPU.
import { cpSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { requiredTensors } from '../../lib/models/facts.js'
import { addon } from '../../lib/native/load.js'
import { planRecover, recover } from '../../lib/recover.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory } from '../support/models.js'
import { networkFixture, networkFixtures } from '../support/networks.js'
import { bytePairTokenizer, pairText } from '../support/pair.js'
import { apart, largest, score, setup } from '../support/scored.js'
import { repositoryRoot } from '../support/shared.js'

const built = join(repositoryRoot, 'build-cmake/pretended')
process.env.WARP_RECOVER_PREBUILD = built // what node-gyp-build asks for a package's own
const when = existsSync(join(built, 'build')) ? test : test.skip
if (when === test.skip) process.stderr.write('skipped: the pretended device: it is built with WARP_TESTS=ON\n')

const device = { indices: [0], precision: 'f32' as const, memory: 0 }

when('the pretended device is what this addon finds', () => {
  expect(addon().info().cuda).toMatchObject({ available: true, archs: 'shim', devices: 1 })
})

// float32 through two layers on both sides, in another order: 1e-5 of the largest
when.each(networkFixtures())('%s: losses, logits and scores are those of the CPU', async (name) => {
  const s = await setup(name)
  try {
    const all = requiredTensors(s.network).map((tensor) => tensor.name)
    const language = s.network.objective === 'language'
    const layer = requiredTensors(s.network).filter(({ group }) => group === 1)
    for (const scope of [all, layer.map((tensor) => tensor.name), ...(language ? [] : ['head' as const])]) {
      const gradients = scope === 'head'
      const want = await score(s, [0.1, 0.6], { scope, gradients })
      const got = await score(s, [0.1, 0.6], { scope, gradients, device })
      expect(apart(got.loss, want.loss)).toBeLessThan(1e-5 * largest(want.loss))
      expect(apart(got.alignment, want.alignment)).toBeLessThan(1e-5 * largest(want.alignment))
      expect(got.alignment).toHaveLength(want.alignment.length)
      expect(got.logits).toHaveLength(want.logits.length)
      expect(apart(got.logits, want.logits)).toBeLessThanOrEqual(1e-5 * largest(want.logits))
      if (language) expect(apart(got.tokenLoss!, want.tokenLoss!)).toBeLessThan(1e-5 * largest(want.tokenLoss!))
      expect(got.gradients).toHaveLength(want.gradients.length)
      // a factor more, and weights that are large where a mean is near zero
      for (const [i, { gram }] of want.gradients.entries())
        expect(apart(got.gradients[i]!.gram, gram)).toBeLessThan(1e-3 * largest(gram))
    }
  } finally {
    s.close()
  }
})

describe('a language model', () => {
  const base = temporaryDirectory()
  const reference = join(temporaryDirectory(), 'out')
  const texts = (first: number, counts: number[]): string => {
    const file = join(temporaryDirectory(), 'texts.jsonl')
    const rows = ['animals', 'stones'].flatMap((domain, d) =>
      Array.from({ length: counts[d]! }, (_, i) => {
        const text = pairText(domain, first + i)
          .slice(0, 18)
          .trim()
        return `${JSON.stringify({ text, domain })}\n`
      }),
    )
    writeFileSync(file, rows.join(''))
    return file
  }
  const options = { base, reference, points: 2, bootstrap: 20 }

  when('is trained, on the CPU', async () => {
    cpSync(networkFixture('llama-language'), base, { recursive: true })
    writeFileSync(join(base, 'tokenizer.json'), JSON.stringify(bytePairTokenizer()))
    const recipe = { epochs: 1, batch: 8, learningRate: 3e-3, seed: 1 }
    await train({ base, data: [texts(0, [30, 10])], output: reference, ...recipe })
  })

  when('has the same mixture on a GPU, with the gradients of its domains', async () => {
    const probes = [texts(100, [12, 12])]
    const want = await recover({ ...options, probes, device: 'cpu' })
    const got = await recover({ ...options, probes, device: 'cuda' })
    expect(got.result.notes.filter((note) => /^gradients of domains: on/.test(note))).toEqual([])
    expect(got.result.recommended.readout).toBe(want.result.recommended.readout)
    expect(apart(got.alignment, want.alignment)).toBeLessThan(1e-5 * largest(want.alignment))
    for (const { readout, mixture } of want.result.mixtures) {
      const shares = got.result.mixtures.find((other) => other.readout === readout)!.mixture
      expect(apart(Object.values(shares), Object.values(mixture))).toBeLessThan(1e-4)
    }
  })

  when('has its memory planned; less than that is refused', async () => {
    const plan = await planRecover({ ...options, probes: [texts(100, [12, 12])], device: 'cuda' })
    expect(plan.device).toBe('cuda:0 (pretended device, f32)')
    expect(plan.deviceMemoryBytes).toBeGreaterThan(1e5)
    const roomy = await planRecover({ ...options, probes: [texts(100, [40, 40])], scope: 'all', device: 'cuda' })
    expect(roomy.deviceMemoryBytes).toBeGreaterThan(plan.deviceMemoryBytes)
    const tight = { ...options, probes: [texts(100, [12, 12])], device: 'cuda', deviceMemory: 1000 }
    await expect(recover(tight)).rejects.toMatchObject({ kind: 'resource', code: 'DEVICE_MEMORY_BUDGET' })
  })
})
