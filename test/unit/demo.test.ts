import { createHash } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { demoModels, demoTexts } from '../../lib/demo/index.js'
import { demoDomains, splitTexts } from '../../lib/demo/texts.js'
import { repositoryRoot } from '../shared.js'

describe('texts of the demo', () => {
  test('are those the committed models were made with', async () => {
    const hash = createHash('sha256')
    for (const text of await splitTexts()) hash.update(JSON.stringify(text) + '\n')
    // scripts/demo-texts.mjs | sha256sum: another split or another edition needs other models
    expect(hash.digest('hex')).toBe('b02fd0eab8f6dea1ad228b9534aca4f6642263df84b5603800992595ba3b0a46')
  })

  test('keep what was trained on apart from the probes', async () => {
    const texts = await splitTexts()
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
    const bad = (await splitTexts()).filter(({ text }) => !clean(text))
    expect(bad).toEqual([])
  })

  test('offer 200 probes of each of five domains, none of them trained on', async () => {
    const { domains, probes } = await demoTexts()
    expect(domains).toEqual(['law', 'psalms', 'gospels', 'letters', 'sonnets'])
    const trained = new Set((await splitTexts()).filter(({ part }) => part !== 'probe').map(({ text }) => text))
    for (const domain of domains) expect(probes.filter((probe) => probe.domain === domain)).toHaveLength(200)
    expect(probes.filter(({ text }) => trained.has(text))).toEqual([])
  })
})

describe('models of the demo', () => {
  test('are two model directories of at most 4 MB together', () => {
    const { base, reference } = demoModels()
    for (const folder of [base, reference]) {
      expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json'])
    }
    const root = join(repositoryRoot, 'assets', 'demo')
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    const size = files.reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0)
    expect(size).toBeLessThanOrEqual(4e6)
  })

  test('come with the mixture they were made with', async () => {
    const { truth } = demoModels()
    expect(truth.domains).toEqual(demoDomains)
    const total = truth.counts.reduce((sum, count) => sum + count, 0)
    truth.mixture.forEach((share, d) => expect(share).toBeCloseTo(truth.counts[d] / total, 12))
    const texts = await splitTexts()
    truth.domains.forEach((domain, d) => {
      const pool = texts.filter((text) => text.domain === domain && text.part === 'training')
      expect(truth.counts[d]).toBeLessThanOrEqual(pool.length)
    })
  })
})
