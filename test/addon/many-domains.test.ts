// Thousands of domains: what is near-linear in them goes through, what sets all against all is left out, and says so.
import { writeFileSync } from 'node:fs'
import { footprint } from '../../lib/footprint/index.js'
import { planLab } from '../../lib/lab/index.js'
import { mostCompared, mostDomains } from '../../lib/readouts/limits.js'
import { recover } from '../../lib/recover.js'
import { temporaryDirectory } from '../support/models.js'
import { makePair, pairLabels, pairText, type TestPair } from '../support/pair.js'
import { domainFile, trainableModel } from '../support/training.js'

const labelOf = (i: number): string => pairLabels[i % pairLabels.length]

/** A pair whose probes are of so many domains, two of each. */
function pairOf(domains: number): TestPair {
  const pair = makePair()
  const rows = Array.from({ length: 2 * domains }, (_, i) => ({
    text: pairText(labelOf(i), i),
    label: labelOf(i),
    domain: `d${i >> 1}`,
  }))
  writeFileSync(pair.probes, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return pair
}

test.each([mostCompared, mostCompared + 1, 1000, mostDomains])('recover with %i domains', async (domains) => {
  const pair = pairOf(domains)
  const { result } = await recover({
    base: pair.base,
    reference: pair.reference,
    probes: [pair.probes],
    points: 2,
    bootstrap: 20,
  })
  expect(result.domains).toHaveLength(domains)
  const used = result.mixtures.map(({ readout }) => readout)
  const compared = domains <= mostCompared
  expect(used.includes('softmax')).toBe(true)
  expect(used.includes('gradient-matching')).toBe(compared)
  const reason = result.skipped.find(({ readout }) => readout === 'gradient-matching')?.reason
  expect(reason).toBe(
    compared ? undefined : `it sets every domain against every other, which is done up to ${mostCompared}`,
  )
  const shares = Object.values(result.recommended.mixture)
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
})

test('more than the limit is refused before any scoring', async () => {
  const { base, reference, probes } = pairOf(mostDomains + 1)
  const refused = { code: 'DOMAINS_TOO_MANY', exitCode: 3, details: { found: mostDomains + 1, expected: mostDomains } }
  const seen = new Set<string>()
  const options = {
    base,
    reference,
    probes: [probes],
    points: 2,
    onProgress: ({ phase }: { phase: string }) => seen.add(phase),
  }
  await expect(recover(options)).rejects.toMatchObject(refused)
  await expect(footprint(options)).rejects.toMatchObject(refused)
  expect(seen.has('score')).toBe(false)
})

test('a lab compares domains, so it has a limit of its own', async () => {
  const names = Array.from({ length: mostCompared + 1 }, (_, d) => `domain ${d}`)
  const plan = planLab({
    base: trainableModel(),
    data: [domainFile(names, 3)],
    output: temporaryDirectory(),
    trials: 2,
    texts: 200,
    probesPerDomain: 1,
  })
  await expect(plan).rejects.toMatchObject({
    code: 'DOMAINS_TOO_MANY',
    details: { found: mostCompared + 1, expected: mostCompared },
  })
})
