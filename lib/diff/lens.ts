import { z } from 'zod'
import { escapeHtml } from '../report/escape.js'
import { section } from '../report/page.js'
import { folded, table, words as text } from '../report/tables.js'
import { compareOnNeutral, lensPositions } from './compare.js'
import type { DiffPair, Part, PartOptions, Table } from './part.js'

const count = z.int().min(0)

export const lensSchema = z.object({
  /** what was read */
  neutral: z.string(),
  texts: count,
  /** the mean difference of the two models' activations behind each layer, at one position of the texts */
  places: z.array(
    z.object({
      /** from 1 */
      layer: count,
      /** from 1, the begin token included where there is one */
      position: count,
      /** its norm over that of the base's mean activation */
      relative: z.number().min(0),
      /** what the output layer makes of the difference, the largest logit first */
      tokens: z.array(z.object({ id: count, token: z.string() })),
    }),
  ),
})
export type LensResult = z.infer<typeof lensSchema>

/** How the activations moved on the first tokens of ordinary texts, read as tokens. */
export const lens: Part<LensResult> = {
  name: 'lens',
  about: 'what the mean change of activations on the first tokens of ordinary texts says, layer by layer',
  schema: lensSchema,
  run,
  lines,
  page,
  tables,
}

async function run(pair: DiffPair, options: PartOptions): Promise<LensResult> {
  const { result, offsets, neutral, spell } = await compareOnNeutral(pair, options)
  const longest = Math.max(...Array.from(offsets.subarray(1), (end, t) => end - offsets[t]))
  const places = result.lens.map(({ norm, baseNorm, tokens }, i) => ({
    layer: Math.floor(i / lensPositions) + 1,
    position: (i % lensPositions) + 1,
    relative: baseNorm > 0 ? norm / baseNorm : 0,
    tokens: norm > 0 ? [...tokens].map((id) => ({ id, token: spell(id) })) : [],
  }))
  return { neutral, texts: offsets.length - 1, places: places.filter(({ position }) => position <= longest) }
}

const spelled = (tokens: LensResult['places'][number]['tokens'], most: number): string =>
  tokens
    .slice(0, most)
    .map(({ token }) => JSON.stringify(token))
    .join(' ')

/** The last layers, whose activations the output layer reads best; the first token is the same in many texts. */
function telling({ places }: LensResult): LensResult['places'] {
  const layers = Math.max(0, ...places.map(({ layer }) => layer))
  const last = Math.max(0, ...places.map(({ position }) => position))
  const near = [Math.ceil(0.9 * layers), layers]
  return places.filter(({ layer, position }) => near.includes(layer) && (position === 2 || position === last))
}

function lines(result: LensResult): string[] {
  return [
    `lens: mean change of activations on the first tokens of ${result.neutral}, read through the output layer`,
    ...telling(result).map(
      ({ layer, position, relative, tokens }) =>
        `  layer ${layer}, token ${position}, ${(100 * relative).toPrecision(3)} %: ${spelled(tokens, 10)}`,
    ),
  ]
}

const show = (places: readonly LensResult['places'][number][]): string =>
  table(
    ['layer, token', 'change', 'read as'],
    places.map(({ layer, position, relative, tokens }) => [
      `${layer}, ${position}`,
      `${(100 * relative).toPrecision(3)} %`,
      text(escapeHtml(spelled(tokens, 10))),
    ]),
    { caption: 'Mean change by layer and place in the text' },
  )

function page({ places: all, neutral }: LensResult): string {
  // what the output layer reads best comes first
  const places = [...all].reverse()
  return [
    section(
      'Lens',
      `<p>The mean change of the activations on the first tokens of ${escapeHtml(neutral)}, ` +
        'as the output layer reads it, and its size against the activations themselves.</p>',
    ),
    folded(places, show, (more) => `${more.length} more places`),
  ].join('\n')
}

function tables({ places }: LensResult): Record<string, Table> {
  return {
    'lens.csv': [
      ['layer', 'position', 'relative', 'tokens'],
      ...places.map(({ layer, position, relative, tokens }) => [layer, position, relative, spelled(tokens, 20)]),
    ],
  }
}
