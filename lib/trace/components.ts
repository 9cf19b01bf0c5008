// Scores of tokens as a mixture of those that were not trained and those that were, both normal.

export interface Normal {
  mean: number
  deviation: number
}

export interface Components {
  untrained: Normal
  trained: Normal
  /** share of trained tokens, by how many texts hold a token */
  share: Float64Array
}

const density = (z: number, { mean, deviation }: Normal): number =>
  Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation

/**
 * Untrained tokens of texts are commoner than those that no text holds, and stand out a little more: before any score
 * is seen, their mean is taken to be this far above, in deviations of those, with the weight of so many scores.
 */
const assumed = { shift: 0.5, weight: 50 }
const leastDeviation = 0.3
const rounds = 500

/** One component from its scores and their weights. */
function normal(scores: Float64Array, weights: Float64Array, prior: { mean: number; weight: number }): Normal {
  let total = prior.weight,
    sum = prior.weight * prior.mean
  scores.forEach((z, i) => {
    total += weights[i]
    sum += weights[i] * z
  })
  const mean = sum / total
  let square = prior.weight
  scores.forEach((z, i) => {
    square += weights[i] * (z - mean) ** 2
  })
  return { mean, deviation: Math.max(leastDeviation, Math.sqrt(square / total)) }
}

/** Bins of `Components.share`: floor(log2(texts that hold the token)). */
const bins = 32
const binOf = (texts: number): number => Math.floor(Math.log2(Math.max(1, texts)))

/** Of being trained before its score is seen, of a token that so many texts hold. */
export const shareOf = (texts: number, { share }: Components): number =>
  Math.min(1 - 1e-4, Math.max(1e-4, texts === 0 ? share[0] / 10 : share[binOf(texts)]))

/**
 * Expectation and maximisation from the known untrained scores, which have mean 0 and deviation 1.
 * @param texts texts that hold each token: common tokens are trained more often
 */
export function fitComponents(scores: Float64Array, texts: Uint32Array): Components {
  const sorted = scores.slice().sort()
  const high = sorted[Math.min(sorted.length - 1, Math.floor(0.95 * sorted.length))] ?? 0
  let found: Components = {
    untrained: { mean: assumed.shift, deviation: 1 },
    trained: { mean: Math.max(assumed.shift + 2, high), deviation: 1 },
    share: new Float64Array(bins).fill(0.3),
  }
  const chance = new Float64Array(scores.length)
  let before = -Infinity
  for (let round = 0; round < rounds; round++) {
    const sums = new Float64Array(bins).fill(0.3),
      counts = new Float64Array(bins).fill(1)
    let likelihood = 0
    scores.forEach((z, i) => {
      const t = shareOf(texts[i], found),
        there = t * density(z, found.trained),
        not = (1 - t) * density(z, found.untrained)
      likelihood += Math.log(Math.max(there + not, 1e-300))
      chance[i] = there + not > 0 ? there / (there + not) : Number(z > found.trained.mean)
      sums[binOf(texts[i])] += chance[i]
      counts[binOf(texts[i])]++
    })
    const rest = chance.map((value) => 1 - value)
    const untrained = normal(scores, rest, { mean: assumed.shift, weight: assumed.weight })
    const trained = normal(scores, chance, { mean: found.trained.mean, weight: 1 })
    trained.mean = Math.max(trained.mean, untrained.mean)
    found = { untrained, trained, share: sums.map((sum, bin) => sum / counts[bin]) }
    if (Math.abs(likelihood - before) < 1e-7 * Math.abs(likelihood)) break
    before = likelihood
  }
  return found
}

/** No score says more than this, in nats. */
const mostEvidence = 8

/** log p(z | trained) − log p(z | untrained), made monotone where two deviations would turn it round, and bounded. */
export function logRatio(z: number, { untrained: u, trained: t }: Components): number {
  const precision = 1 / u.deviation ** 2 - 1 / t.deviation ** 2
  const turn = (u.mean / u.deviation ** 2 - t.mean / t.deviation ** 2) / precision
  const inside = precision > 0 ? Math.max(z, turn) : precision < 0 ? Math.min(z, turn) : z
  const square = (one: Normal): number => 0.5 * ((inside - one.mean) / one.deviation) ** 2 + Math.log(one.deviation)
  return Math.min(mostEvidence, Math.max(-mostEvidence, square(u) - square(t)))
}

/** What the addon takes: 1 − p(z | untrained) / p(z | trained). */
export const pullOf = (z: number, components: Components): number => -Math.expm1(-logRatio(z, components))
