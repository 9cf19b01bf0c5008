// Declared mixtures: what is read, what is refused, how they are judged.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Random } from '../../lib/random.js'
import { type ClaimEvidence, judgeClaim, readClaimed } from '../../lib/readouts/claimed.js'
import { readMixtures, type MixtureResult } from '../../lib/readouts/index.js'
import { htmlReport, terminalReport } from '../../lib/report/index.js'
import { resultSchema } from '../../lib/report/schema.js'
import { temporaryDirectory } from '../support/models.js'
import { recovered } from '../support/page-results.js'
import { classifierStatistics, gaussianGradients } from '../support/synthetic-footprints.js'

const domains = ['a', 'b', 'c', 'd']
const truth = [0.46, 0.07, 0.3, 0.17]
const named = (shares: number[]) => Object.fromEntries(domains.map((name, d) => [name, shares[d]]))

describe('reading', () => {
  const file = join(temporaryDirectory(), 'mixture.json')
  const written = (text: string) => {
    writeFileSync(file, text)
    return readClaimed(file, domains)
  }

  test('a file, pairs and an object say the same, in the order of the domains', async () => {
    const claim = named(truth)
    expect(Object.entries(await written('{"d": 0.17, "c": 0.3, "b": 0.07, "a": 0.46}'))).toEqual(Object.entries(claim))
    expect(await readClaimed('a=0.46,b=.07,c=0.3,d=0.17', domains)).toEqual(claim)
    expect(await readClaimed(claim, domains)).toEqual(claim)
  })

  test('shares may be rounded: together they may miss 1 by as much', async () => {
    await expect(written('{"a": 0.33, "b": 0.33, "c": 0.33, "d": 0}')).resolves.toBeDefined()
    await expect(written('{"a": 0.333, "b": 0.333, "c": 0.33, "d": 0}')).rejects.toMatchObject({ code: 'CLAIMED_SUM' })
  })

  test.each([
    ['no JSON', '{"a": 0.5,', 'CLAIMED_NOT_JSON', /mixture\.json:1:11/],
    ['a domain twice', '{"a": 0.5, "a": 0.5}', 'CLAIMED_DUPLICATE_KEY', /"a"/],
    ['a list', '[1]', 'CLAIMED_FORM', /an array/],
    ['a domain without probes', '{"a": 1, "b": 0, "c": 0, "d": 0, "e": 0}', 'CLAIMED_DOMAIN_UNKNOWN', /"e"/],
    ['a domain left out', '{"a": 0.5, "b": 0.5, "d": 0}', 'CLAIMED_DOMAIN_MISSING', /"c"/],
    ['a share in percent', '{"a": 46, "b": 7, "c": 30, "d": 17}', 'CLAIMED_SHARE', /"a".*46/],
    ['a share that is text', '{"a": "0.5", "b": 0.5, "c": 0, "d": 0}', 'CLAIMED_SHARE', /"a"/],
    ['a share below nothing', '{"a": 1.0, "b": -0.1, "c": 0.1, "d": 0}', 'CLAIMED_SHARE', /"b"/],
    ['shares of more than all', '{"a": 0.5, "b": 0.5, "c": 0.5, "d": 0}', 'CLAIMED_SUM', /1\.5/],
  ])('refuses %s', async (_, text, code, says) => {
    const error = await written(text).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'input', code, message: expect.stringMatching(says) })
    expect((error as { hint: string }).hint).not.toBe('')
  })

  test.each(['a=0.5,b', 'a=0.5,a=0.5', 'a=x,b=1', 'a=1=2', '=1'])('refuses the pairs %s', async (text) => {
    await expect(readClaimed(text, domains)).rejects.toMatchObject({ code: 'CLAIMED_FORM' })
  })

  test('refuses a file that is not there', async () => {
    await expect(readClaimed('nowhere.json', domains)).rejects.toMatchObject({ code: 'CLAIMED_UNREADABLE' })
  })
})

/** A recovered mixture with draws whose distance from it is `r / 1000` in replicate r = 1 … 99. */
function evidence(change: Partial<ClaimEvidence> = {}): ClaimEvidence {
  const draws = Float64Array.from({ length: 4 * 99 }, (_, i) => {
    const far = (Math.floor(i / 4) + 1) / 1000
    return truth[i % 4] + [far, -far, 0, 0][i % 4]
  })
  const recommended: MixtureResult = {
    readout: 'gradient-matching',
    description: '',
    settings: {},
    mixture: named(truth),
    interval: named(truth.map(() => 0)) as never,
    level: 0.9,
    intervalCovers: 'sampling and method',
    intervalIncludes: 'everything',
  }
  return { recommended, draws, methodError: 0, diagnosis: 'ok', seed: 1, replicates: 99, ...change }
}

/** The recovered mixture with so much moved from the first domain to the second. */
const moved = (by: number) => named([+(truth[0] - by).toFixed(4), +(truth[1] + by).toFixed(4), truth[2], truth[3]])

describe('judging', () => {
  test('p is the part of the draws that lie as far, the claim’s own rounding taken off', async () => {
    // moved by .0955, written with four decimals: .00005 on each of two shares
    const { distance, pValue, limit, verdict } = await judgeClaim(moved(0.0955), evidence())
    expect(distance).toBeCloseTo(0.09545, 10)
    expect(pValue).toBeCloseTo((1 + 4) / 100, 10)
    expect(limit).toBeCloseTo(0.0892, 10)
    expect(verdict).toBe('not')
    expect(await judgeClaim(moved(0.0805), evidence())).toMatchObject({ verdict: 'consistent', pValue: 0.2 })
    expect(await judgeClaim(named(truth), evidence())).toMatchObject({ verdict: 'consistent', distance: 0, pValue: 1 })
  })

  test('of shares in whole percents half a percent each is rounding', async () => {
    const { distance } = await judgeClaim(named([0.46, 0.07, 0.3, 0.17]), {
      ...evidence(),
      recommended: { ...evidence().recommended, mixture: named([0.4642, 0.0658, 0.3, 0.17]) },
    })
    expect(distance).toBe(0)
  })

  test('the method’s mean error moves the limit, by half of it a domain', async () => {
    const { limit, verdict } = await judgeClaim(moved(0.0955), evidence({ methodError: 0.04 }))
    expect(limit).toBeCloseTo(0.0892 + (4 * 0.04) / 2, 10)
    expect(verdict).toBe('consistent')
  })

  test.each([
    ['the mixture is weak', { diagnosis: 'weak' as const }, /weak/],
    ['nothing is identifiable', { diagnosis: 'unidentifiable' as const }, /unidentifiable/],
    [
      'the readout’s error was not measured',
      { recommended: { ...evidence().recommended, intervalCovers: 'sampling' as const } },
      /not measured/,
    ],
  ])('cannot tell where %s, however far the claim', async (_, change, says) => {
    for (const claim of [named(truth), named([0, 1, 0, 0])]) {
      const judged = await judgeClaim(claim, evidence(change))
      expect(judged).toMatchObject({ verdict: "can't tell", reason: expect.stringMatching(says) })
    }
  })

  test('cannot call a claim consistent where one drawn at random would be, but can refuse one', async () => {
    const wide = evidence({ methodError: 0.15 })
    expect(await judgeClaim(named(truth), wide)).toMatchObject({ verdict: "can't tell" })
    expect(await judgeClaim(named([0, 1, 0, 0]), wide)).toMatchObject({ verdict: 'not' })
  })

  test('a mixture with intervals alone, as of a trace, is drawn within them: 90 % of each', async () => {
    const interval = Object.fromEntries(domains.map((name, d) => [name, [truth[d] - 0.02, truth[d] + 0.02]]))
    const recommended = { ...evidence().recommended, interval: interval as MixtureResult['interval'] }
    const { limit } = await judgeClaim(named(truth), evidence({ recommended, draws: null, replicates: 4000 }))
    // ½ Σ of four |normal| of deviation s = .02/1.645: mean 2 s √(2/π), deviation s √(1 − 2/π); near a normal's .9
    const s = 0.02 / 1.645
    const expected = 2 * s * Math.sqrt(2 / Math.PI) + 1.2816 * s * Math.sqrt(1 - 2 / Math.PI)
    expect(Math.abs(limit / expected - 1)).toBeLessThan(0.08)
  })

  test('true mixtures of made-up models pass, others far from them do not', async () => {
    const verdicts = new Set<string>()
    for (let trial = 0; trial < 12; trial++) {
      const random = new Random(trial, 'claimed')
      const { gradients } = gaussianGradients(random, truth, 40, 100, 0.5)
      const stats = classifierStatistics(random, 4, 40, { gradients: [gradients] })
      const judged = async (shares: number[]) => {
        const claimed = Object.fromEntries(stats.domains.map((name, d) => [name, shares[d]]))
        const read = await readMixtures(stats, { seed: trial, bootstrap: 100, claimed })
        expect(read.recommended).toBe('gradient-matching')
        verdicts.add(read.diagnostics.verdict)
        return read.claimed!.verdict
      }
      expect(await judged(truth)).toBe('consistent')
      expect(await judged(truth.toReversed())).toBe('not')
    }
    expect([...verdicts]).toEqual(['ok'])
  })
})

describe('telling', () => {
  test('page, terminal and schema have the claim', async () => {
    const names = ['World', 'Sports & <more>']
    const whole = await recovered(names, {}, { World: 0.25, 'Sports & <more>': 0.75 })
    expect(resultSchema.parse(JSON.parse(JSON.stringify(whole)))).toEqual(JSON.parse(JSON.stringify(whole)))
    const text = terminalReport(whole)
    expect(text).toContain(`Claimed mixture  ${whole.claimed!.verdict}`)
    expect(text).toMatch(/as claimed +25\.0 +75\.0/)
    const page = htmlReport(whole)
    expect(page).toContain('<h2>The claimed mixture</h2>')
    expect(page).toContain('claimed 25.0 %')
    expect(htmlReport(await recovered(names))).not.toContain('claimed')
  })
})
