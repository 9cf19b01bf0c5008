// The part lens of a diff: mean changes of activations, and what they are read as, against naive networks in float64.
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diff, diffSchema } from '../../lib/diff/index.js'
import type { Network } from '../../lib/models/network.js'
import type { CompareResult } from '../../lib/native/types.js'
import {
  compareFixture,
  comparePositions as positions,
  compareTexts as texts,
  compareTop as top,
  headOf,
  order,
} from '../support/compare.js'
import { makeLanguagePair } from '../support/language-pair.js'
import { temporaryDirectory } from '../support/models.js'
import { referenceLogits } from '../support/networks.js'
import { makePair } from '../support/pair.js'

const norm = (x: Float64Array): number => Math.hypot(...x)

describe.each([
  ...['llama-language', 'gpt2-language', 'gemma2-language', 'gpt_neox-language'],
  ...['bert', 'electra', 'roberta', 'distilbert', 'modernbert-mean', 'gpt2-classify', 'llama-classify'],
])('%s', (name) => {
  let s: Awaited<ReturnType<typeof compareFixture>>
  let result: CompareResult
  beforeAll(async () => {
    s = await compareFixture(name)
    result = await s.run()
  })

  /** Mean activations of base and reference behind a layer, from 0, at a position. */
  const meansOf = (layer: number, position: number): [Float64Array, Float64Array] => {
    const { network } = s
    const part: Network = { ...network, layers: network.layers.slice(0, layer + 1), head: { steps: [], output: 'x' } }
    const long = texts.filter((text) => text.length > position)
    const [base, reference] = s.weights.map((weights) => {
      const rows = long.map(
        (text) =>
          referenceLogits(
            part,
            weights,
            text,
            text.map(() => 0),
          )[position]!,
      )
      return rows[0]!.map((_, j) => rows.reduce((sum, row) => sum + row[j]!, 0) / rows.length)
    })
    return [base!, reference!]
  }

  test('the mean change of the activations and what it is read as', () => {
    const { network } = s
    const head: Network = { ...network, tables: [], layers: [], embed: { steps: [], output: 'x' } }
    for (let layer = 0; layer < network.layers.length; layer++) {
      for (let position = 0; position < positions; position++) {
        const [base, reference] = meansOf(layer, position)
        const change = reference.map((x, j) => x - base[j]!)
        const found = result.lens[layer * positions + position]!
        expect(Math.abs(found.norm - norm(change))).toBeLessThan(2e-5 * norm(base))
        expect(Math.abs(found.baseNorm - norm(base))).toBeLessThan(2e-5 * norm(base))
        const logits = headOf(head, s.weights[1], change) // the head alone, on the change
        const scale = Math.max(...logits.map(Math.abs))
        // the change is a small difference: what rounding makes of it grows by the norm before the head
        const slack = (4e-5 * scale * norm(base)) / norm(change)
        for (const [ids, sign] of [
          [found.tokens, 1],
          [found.away, -1],
        ] as const) {
          const want = order(logits, sign).slice(0, top)
          expect(new Set(ids).size).toBe(top)
          ids.forEach((id, k) => expect(Math.abs(logits[id]! - logits[want[k]!]!)).toBeLessThan(slack))
        }
      }
    }
  })

  test('threads do not change a bit', async () => {
    expect((await s.run({ threads: 1 })).lens).toEqual(result.lens)
  })
})

test.each(['bert', 'electra'])('%s is read by products with the rows of its table', async (name) => {
  const { network, weights } = await compareFixture(name)
  const { hiddenSize: h, embeddingSize: e, vocabularySize: v } = network
  const change = Float64Array.from({ length: h }, (_, j) => Math.cos(3 * j))
  const table = weights[1]('embeddings.word_embeddings.weight')
  const project = e === h ? undefined : weights[1]('embeddings_project.weight')
  const inputOf = (id: number, j: number): number => {
    if (!project) return table[id * h + j]!
    return Array.from({ length: e }, (_, k) => project[j * e + k]! * table[id * e + k]!).reduce((a, b) => a + b, 0)
  }
  const want = Array.from({ length: v }, (_, id) => change.reduce((sum, x, j) => sum + x * inputOf(id, j), 0))
  const head: Network = { ...network, tables: [], layers: [], embed: { steps: [], output: 'x' } }
  headOf(head, weights[1], change).forEach((logit, id) => expect(logit).toBeCloseTo(want[id]!, 12))
  expect(name === 'electra').toBe(e !== h)
})

describe('warp diff', () => {
  const only = ['lens']

  test.each(['bert', 'gpt2'] as const)('a classifier, %s, is read through its embedding table', async (kind) => {
    const { base, reference, probes } = makePair(kind)
    const options = { base, reference, only, texts: [probes] }
    const { result, page, lines, tables } = await diff(options)
    diffSchema.parse(result)
    const { through, places } = result.lens!
    expect(through).toBe('embedding table')
    expect(places.length).toBe(2 * 5)
    for (const { relative, tokens, away } of places) {
      expect(relative).toBeGreaterThan(0)
      expect(tokens.length).toBe(20)
      expect(away.length).toBe(20)
    }
    expect(lines.join('\n')).toMatch(/read through the embedding table\n {2}layer 1, token 2, .* away from "/)
    expect(page()).toContain('read through the embedding table')
    expect(tables['lens.csv']![0]).toEqual(['layer', 'position', 'relative', 'tokens', 'away'])
    expect((await diff({ ...options, threads: 1 })).result.lens).toEqual(result.lens)
    // a base without a head, and a reference without one: the layers are the same
    const bare = (dir: string): string => {
      const to = join(temporaryDirectory(), 'bare')
      cpSync(dir, to, { recursive: true })
      const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as object
      const architectures = [kind === 'bert' ? 'BertModel' : 'GPT2Model']
      writeFileSync(join(to, 'config.json'), JSON.stringify({ ...config, architectures }))
      return to
    }
    expect((await diff({ ...options, base: bare(base) })).result.lens).toEqual(result.lens)
    const both = await diff({ ...options, base: bare(base), reference: bare(reference) })
    expect(both.result.lens).toEqual(result.lens)
    const same = await diff({ ...options, reference: base })
    expect(
      same.result.lens!.places.every(({ relative, tokens, away }) => relative + tokens.length + away.length === 0),
    ).toBe(true)
  })

  test('a language model is read through its output layer', async () => {
    const { base, reference } = makeLanguagePair()
    const { result, lines } = await diff({ base, reference, only })
    expect(result.lens!.through).toBe('output layer')
    expect(lines.join('\n')).not.toContain('away from')
  })

  test('models apart have no lens', async () => {
    const [bert, gpt2, language] = [makePair('bert'), makePair('gpt2'), makeLanguagePair()]
    const apart = (base: string, reference: string): Promise<unknown> => diff({ base, reference, only })
    for (const [base, reference] of [
      [bert.base, gpt2.reference],
      [bert.base, language.reference],
      [language.base, bert.reference],
    ])
      await expect(apart(base!, reference!)).rejects.toMatchObject({ code: 'DIFF_NOTHING_APPLIES' })
  })
})
