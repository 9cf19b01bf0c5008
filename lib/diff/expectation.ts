import type { NeutralTokens } from './neutral.js'

/** What ordinary language of a certain length would have trained. */
export interface Expectation {
  /** tokens of ordinary language that touch as many different ones as were trained; null where none do */
  tokens: number | null
  /** trained tokens that are no special ones */
  candidates: number[]
  trained(id: number): boolean
  /** that so much ordinary language holds a token */
  chance(id: number): number
  /** the same for a word that stands `times` in the neutral texts */
  wordChance(times: number): number
  /** how often a token is expected in it, but for `times` that are counted elsewhere */
  expected(id: number, times?: number): number
  /** that a word of one token stands `times` in the neutral texts, and that its token is in other words */
  alone(id: number, times: number): { word: number; others: number }
}

/** Occurrences that a word or token has which the neutral texts lack. */
const unseen = 0.5

/**
 * Ordinary language as independent draws of tokens, of which so many are made that the expected number of different
 * ones is that of the trained tokens.
 *
 * @param state by token: 0 untrained, 1 trained, 2 undecided
 */
export function expectation(state: Uint8Array, general: NeutralTokens, special: ReadonlySet<number>): Expectation {
  const compared: number[] = []
  for (let id = 0; id < state.length; id++) if (state[id] !== 2 && !special.has(id)) compared.push(id)
  const candidates = compared.filter((id) => state[id] === 1)
  const total = general.total + unseen * compared.length
  const rate = (times: number): number => (times + unseen) / total
  // many tokens are equally frequent
  const groups = new Map<number, number>()
  for (const id of compared) groups.set(general.counts[id], (groups.get(general.counts[id]) ?? 0) + 1)
  const touched = (tokens: number): number => {
    let sum = 0
    for (const [times, size] of groups) sum -= size * Math.expm1(-tokens * rate(times))
    return sum
  }
  const share = aloneShare(general)
  const tokens = lengthFor(candidates.length, compared.length, touched)
  const many = tokens ?? Infinity
  return {
    tokens,
    candidates,
    trained: (id) => state[id] === 1,
    chance: (id) => -Math.expm1(-many * rate(general.counts[id])),
    wordChance: (times) => -Math.expm1(-many * rate(times)),
    expected: (id, times = 0) => many * rate(Math.max(0, general.counts[id] - times)),
    // what the neutral texts lack is the word itself as often as tokens stand alone
    alone: (id, times) => {
      const own = times === 0 ? Math.min(share, general.unseenWords) : share
      return {
        word: -Math.expm1((-many * (times + unseen * own)) / total),
        others: -Math.expm1((-many * (Math.max(0, general.counts[id] - times) + unseen * (1 - own))) / total),
      }
    },
  }
}

/** Words of one token are rare up to so many times. */
const rare = 5

/** How often a rare token is the word that it is alone, on average over such tokens. */
function aloneShare({ whole, counts }: NeutralTokens): number {
  let alone = 1
  let tokens = 2
  for (const [id, times] of whole) {
    if (times > rare) continue
    alone += times / Math.max(times, counts[id])
    tokens++
  }
  return alone / tokens
}

function lengthFor(wanted: number, most: number, touched: (tokens: number) => number): number | null {
  if (wanted >= most) return null
  let low = 0
  let high = 1
  while (touched(high) < wanted) {
    low = high
    high *= 2
    if (high > 1e15) return null
  }
  for (let round = 0; round < 60 && high - low > 1e-6 * high; round++) {
    const middle = (low + high) / 2
    if (touched(middle) < wanted) low = middle
    else high = middle
  }
  return high
}

/**
 * That a word was trained on, all of its tokens having been: prior p by its own rate, against all of its tokens having
 * come from other words, p / (p + (1 − p) Π (1 − e^{−λ})).
 */
export function probabilityOf(expected: Expectation, ids: readonly number[], times: number): number {
  if (ids.length === 1) {
    const { word, others } = expected.alone(ids[0], times)
    return bayes(word, others)
  }
  let otherwise = 1
  for (const id of new Set(ids)) {
    const own = ids.filter((one) => one === id).length * times
    otherwise *= -Math.expm1(-expected.expected(id, own))
  }
  return bayes(expected.wordChance(times), otherwise)
}

function bayes(prior: number, otherwise: number): number {
  const joint = prior + (1 - prior) * otherwise
  return joint > 0 ? Math.min(1, prior / joint) : 0
}
