// What `select` goes by where nobody says it: a corpus that holds training texts, and the same without them.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { select } from '../../lib/select/index.js'
import { train } from '../../lib/train/index.js'
import { temporaryDirectory as folder } from '../support/models.js'
import { makePair, pairLabels } from '../support/pair.js'

const pair = makePair('bert')
afterAll(() => rmSync(pair.folder, { recursive: true, force: true }))

describe('planted texts: each class has four words of its own, the others draw from all letters', () => {
  test('the default finds the true texts among twenty times as many others', async () => {
    const words = [...'abcdefghijklmnopqrstuvwxyz']
    const draw = (from: string[], seed: number): string => {
      let state = seed
      return Array.from({ length: 8 }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return from[Math.floor((state / 2 ** 32) * from.length)]
      }).join(' ')
    }
    const truth = Array.from({ length: 120 }, (_, i) => draw(words.slice(4 * (i % 3), 4 * (i % 3) + 4), 77 * i + 5))
    const others = Array.from({ length: 2400 }, (_, i) => draw(words, 31 * i + 100003))
    const data = join(pair.folder, 'train.jsonl')
    writeFileSync(data, truth.map((text, i) => `${JSON.stringify({ text, label: pairLabels[i % 3] })}\n`).join(''))
    const reference = join(pair.folder, 'trained')
    await train({ base: pair.base, data: [data], output: reference, epochs: 20, learningRate: 2e-3 })
    const corpus = join(pair.folder, 'corpus.jsonl')
    const mixed = [...others, ...truth].map((text, i) => ({ text, at: (i * 1009) % 2520 }))
    mixed.sort((a, b) => a.at - b.at)
    writeFileSync(corpus, mixed.map(({ text }) => `${JSON.stringify({ text })}\n`).join(''))
    const output = folder()
    const asked = { base: pair.base, reference, output }
    const { documents, result } = await select({ ...asked, corpus: [corpus], count: 100 })
    const hits = documents.filter(({ text }) => truth.includes(text)).length
    expect(hits).toBeGreaterThanOrEqual(90)
    expect(result).toMatchObject({ features: 'trace', strategy: 'topk-balanced' })
    expect(result.notes).toContain('features trace: at least 100 windows have nine tenths of their tokens trained')
    // the features that are there are used again, however many are asked for
    const more = await select({ ...asked, corpus: [corpus], count: 400 })
    expect(more.result).toMatchObject({ features: 'trace', reused: 1 })
    // without the planted texts few agree wholly: gradients choose
    const rest = join(pair.folder, 'rest.jsonl')
    writeFileSync(rest, others.map((text) => `${JSON.stringify({ text })}\n`).join(''))
    const without = await select({ ...asked, output: folder(), corpus: [rest], count: 100 })
    expect(without.result).toMatchObject({ features: 'head', strategy: 'greedy', lambdas: [0.1, 0.5, 0.9] })
    expect(without.result.notes.join()).toMatch(
      /features head: only \d+ windows have nine tenths of their tokens trained/,
    )
  })
})
