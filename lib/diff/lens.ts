import { z } from 'zod'
import { objectiveOf } from '../models/families.js'
import { escapeHtml } from '../report/escape.js'
import { list, section } from '../report/page.js'
import { folded, table, words as text } from '../report/tables.js'
import { compareLayers, compareOnNeutral, lensPositions } from './compare.js'
import type { DiffPair, Part, PartOptions, Tables } from './part.js'

const count = z.int().min(0)
const tokens = z.array(z.object({ id: count, token: z.string() }))

export const lensSchema = z.object({
  /** what was read */
  neutral: z.string(),
  texts: count,
  /** what activations are read through: the language model's output layer, or the table that embeds tokens */
  through: z.enum(['output layer', 'embedding table']),
  /** the mean difference of the two models' activations behind each layer, at one position of the texts */
  places: z.array(
    z.object({
      /** from 1 */
      layer: count,
      /** from 1, the begin token included where there is one */
      position: count,
      /** its norm over that of the base's mean activation */
      relative: z.number().min(0),
      /** what it is read as, the largest logit first */
      tokens,
      /** what it leads away from, the smallest logit first */
      away: tokens,
    }),
  ),
})
export type LensResult = z.infer<typeof lensSchema>
type Place = LensResult['places'][number]

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
  const predicts = objectiveOf(pair.reference.architectureName) === 'language'
  const compared = await (predicts ? compareOnNeutral : compareLayers)(pair, options)
  const { result, offsets, neutral, spell } = compared
  const longest = Math.max(...Array.from(offsets.subarray(1), (end, t) => end - offsets[t]))
  const places = result.lens.map(({ norm, baseNorm, ...read }, i) => {
    const named = (ids: Uint32Array): Place['tokens'] =>
      norm > 0 ? [...ids].map((id) => ({ id, token: spell(id) })) : []
    return {
      layer: Math.floor(i / lensPositions) + 1,
      position: (i % lensPositions) + 1,
      relative: baseNorm > 0 ? norm / baseNorm : 0,
      tokens: named(read.tokens),
      away: named(read.away),
    }
  })
  return {
    neutral,
    texts: offsets.length - 1,
    through: predicts ? 'output layer' : 'embedding table',
    places: places.filter(({ position }) => position <= longest),
  }
}

const spelled = (tokens: Place['tokens'], most: number): string =>
  tokens
    .slice(0, most)
    .map(({ token }) => JSON.stringify(token))
    .join(' ')

/** What says most: the language model's new tokens; what ordinary texts of a classifier were moved away from. */
const said = ({ through }: LensResult, place: Place): Place['tokens'] =>
  through === 'output layer' ? place.tokens : place.away

/** The layers that are read best, the last ones or the middle; the first token is the same in many texts. */
function telling({ places, through }: LensResult): Place[] {
  const layers = Math.max(0, ...places.map(({ layer }) => layer))
  const last = Math.max(0, ...places.map(({ position }) => position))
  const near = through === 'output layer' ? [Math.ceil(0.9 * layers), layers] : [Math.ceil(layers / 2)]
  return places.filter(({ layer, position }) => near.includes(layer) && (position === 2 || position === last))
}

function lines(result: LensResult): string[] {
  const { neutral, through } = result
  const away = through === 'output layer' ? '' : 'away from '
  return [
    `lens: mean change of activations on the first tokens of ${neutral}, read through the ${through}`,
    ...telling(result).map((place) => {
      const { layer, position, relative } = place
      const change = `${(100 * relative).toPrecision(3)} %`
      return `  layer ${layer}, token ${position}, ${change}: ${away}${spelled(said(result, place), 10)}`
    }),
  ]
}

const show = (places: readonly Place[]): string =>
  table(
    ['layer, token', 'change', 'towards', 'away from'],
    places.map(({ layer, position, relative, ...read }) => [
      `${layer}, ${position}`,
      `${(100 * relative).toPrecision(3)} %`,
      text(escapeHtml(spelled(read.tokens, 10))),
      text(escapeHtml(spelled(read.away, 10))),
    ]),
    { caption: 'Mean change by layer and place in the text' },
  )

function page(result: LensResult): string {
  const { places, neutral, through } = result
  const first = telling(result)
  // what is read best comes first
  const sorted = [...first, ...[...places].reverse().filter((place) => !first.includes(place))]
  return [
    section(
      'Lens',
      `<p>The mean change of the activations on the first tokens of ${escapeHtml(neutral)}, ` +
        `read through the ${through}, and its size against the activations themselves.</p>`,
    ),
    through === 'output layer' ? '' : list([byTable]),
    folded(sorted, show, (more) => `${more.length} more places`),
  ].join('\n')
}

const byTable =
  'a hint, no more: ten classifiers whose training texts are known led ordinary texts away from words of these ' +
  '(middle layer: 29 % of the tokens were at least twice as frequent there as in general text, 10 % of those that ' +
  'the change leads towards), but some also away from words that another kind of training would have had'

function tables({ places }: LensResult): Tables {
  return {
    'lens.csv': [
      ['layer', 'position', 'relative', 'tokens', 'away'],
      ...places.map(({ layer, position, relative, ...read }) => [
        ...[layer, position, relative],
        ...[spelled(read.tokens, 20), spelled(read.away, 20)],
      ]),
    ],
  }
}
