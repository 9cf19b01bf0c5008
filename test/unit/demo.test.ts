import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { demoBase, demoProbes, demoSecret } from '../../lib/demo/index.js'
import { unevenness } from '../../lib/lab/mixtures.js'
import { demoDomains, demoTexts } from '../../lib/demo/texts.js'
import { repositoryRoot } from '../support/shared.js'

interface Maker {
  domains: string[]
  splitTexts(): { text: string; domain: string | null; part: string }[]
}
const maker = (): Promise<Maker> => import(join(repositoryRoot, 'scripts/make-demo-texts.mjs')) as Promise<Maker>

describe('texts of the demo', () => {
  test('are those the committed model was made with', async () => {
    const hash = createHash('sha256')
    for (const text of (await maker()).splitTexts()) hash.update(JSON.stringify(text) + '\n')
    // node scripts/make-demo-texts.mjs --all | sha256sum: another split or another edition needs another base
    expect(hash.digest('hex')).toBe('b02fd0eab8f6dea1ad228b9534aca4f6642263df84b5603800992595ba3b0a46')
  })

  test('are packed as the script makes them', async () => {
    const { domains, splitTexts } = await maker()
    expect(demoDomains).toEqual(domains)
    expect(await demoTexts()).toEqual(splitTexts().filter(({ part }) => part !== 'pretraining'))
  })

  test('keep what was trained on apart from the probes', async () => {
    const texts = (await maker()).splitTexts()
    expect(new Set(texts.map(({ text }) => text)).size).toBe(texts.length)
    for (const domain of demoDomains) {
      const count = (part: string): number => texts.filter((t) => t.domain === domain && t.part === part).length
      const total = texts.filter((t) => t.domain === domain).length
      expect(count('pretraining')).toBe(Math.floor(total / 5))
      expect(Math.abs(count('training') - count('probe'))).toBeLessThanOrEqual(1)
    }
  })

  test('come clean: no marks of the edition, no stray spaces, none too short', async () => {
    const clean = (text: string): boolean => /^(\S+ )+\S+$/.test(text) && !/[#[\]]/.test(text) && text.length >= 50
    const bad = (await demoTexts()).filter(({ text }) => !clean(text))
    expect(bad).toEqual([])
  })

  test('offer 200 probes of each of five domains, none of them pre-trained on', async () => {
    const probes = await demoProbes()
    const all = (await maker()).splitTexts()
    const read = new Set(all.filter(({ part }) => part !== 'probe').map(({ text }) => text))
    for (const domain of demoDomains) expect(probes.filter((probe) => probe.domain === domain)).toHaveLength(200)
    expect(probes.filter(({ text }) => read.has(text))).toEqual([])
  })
})

describe('secrets of the demo', () => {
  test('are training texts in the drawn mixture, each once, none of them a probe', async () => {
    const probes = new Set((await demoProbes()).map(({ text }) => text))
    const pool = new Map(
      (await demoTexts()).filter(({ part }) => part === 'training').map(({ text, domain }) => [text, domain]),
    )
    const { truth, training } = await demoSecret(3, 500)
    expect(truth.domains).toEqual(demoDomains)
    expect(new Set(training.texts).size).toBe(500)
    expect(training.texts.filter((text) => probes.has(text))).toEqual([])
    expect(training.texts.map((text) => pool.get(text))).toEqual([...training.label].map((d) => demoDomains[d]))
    truth.counts.forEach((count, d) => {
      expect(training.label.filter((label) => label === d)).toHaveLength(count)
      expect(truth.mixture[d]).toBeCloseTo(count / 500, 12)
    })
  })

  test('differ by seed, are uneven, and keep every share at 3 %, but for rounding', async () => {
    const secrets = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((seed) => demoSecret(seed, 500)))
    expect(new Set(secrets.map(({ truth }) => truth.counts.join())).size).toBe(8)
    for (const { truth } of secrets) {
      expect(truth.counts.reduce((sum, count) => sum + count, 0)).toBe(500)
      expect(Math.min(...truth.counts)).toBeGreaterThanOrEqual(15 - 1)
      expect(unevenness(truth.mixture)).toBeGreaterThanOrEqual(0.08 - 1 / 500)
    }
    expect(await demoSecret(5, 500)).toEqual(secrets[5])
  })
})

test('the base of the demo is a model directory of at most 4 MB', () => {
  const files = readdirSync(demoBase())
  expect(files.sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
  expect(files.reduce((sum, name) => sum + statSync(join(demoBase(), name)).size, 0)).toBeLessThanOrEqual(4e6)
})
