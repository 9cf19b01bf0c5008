// What a score says of a token where the kind of many others is known.

/** No score says more than this, in nats. */
const mostEvidence = 8
/** Known tokens of one bin, at least, and bins at most. */
const leastOfBin = 10,
  mostBins = 60

/** log p(score | yes) − log p(score | no), not falling in the score, in steps. */
export interface Ratio {
  /** lower ends of the steps, ascending; the first is −∞ */
  from: number[]
  value: number[]
}

/**
 * From the scores of tokens of both kinds: shares of the first kind in bins of equal size, each with one observation
 * of the overall share added, pooled where they fall (pool adjacent violators). Undefined where there are fewer than
 * two bins, or only one kind.
 */
export function fitRatio(yes: Float64Array, no: Float64Array): Ratio | undefined {
  const total = yes.length + no.length,
    share = yes.length / total
  const bins = Math.min(mostBins, Math.floor(total / leastOfBin))
  if (bins < 2 || yes.length === 0 || no.length === 0) return undefined
  const all = [...Array.from(yes, (z) => [z, 1]), ...Array.from(no, (z) => [z, 0])].sort(([a], [b]) => a - b)
  const pooled: { from: number; hits: number; count: number }[] = []
  for (let bin = 0, at = 0; bin < bins; bin++) {
    let end = Math.floor(((bin + 1) * total) / bins)
    while (end < total && all[end][0] === all[end - 1][0]) end++ // equal scores are of one bin
    if (end <= at) continue
    const own = all.slice(at, end)
    let next = {
      from: at === 0 ? -Infinity : own[0][0],
      hits: own.reduce((sum, [, kind]) => sum + kind, share),
      count: own.length + 1,
    }
    for (let last = pooled.at(-1); last && last.hits * next.count >= next.hits * last.count; last = pooled.at(-1)) {
      next = { from: last.from, hits: last.hits + next.hits, count: last.count + next.count }
      pooled.pop()
    }
    pooled.push(next)
    at = end
  }
  const logit = (p: number): number => Math.log(p) - Math.log1p(-p)
  return {
    from: pooled.map(({ from }) => from),
    value: pooled.map(({ hits, count }) =>
      Math.min(mostEvidence, Math.max(-mostEvidence, logit(hits / count) - logit(share))),
    ),
  }
}

export function ratioAt({ from, value }: Ratio, score: number): number {
  let low = 0,
    high = from.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (from[middle] <= score) low = middle
    else high = middle - 1
  }
  return value[low]
}

/** How often a score of the first kind is above one of the second, equal ones by half. */
export function areaUnder(yes: Float64Array, no: Float64Array): number {
  const sorted = no.slice().sort()
  const below = (score: number, orEqual: boolean): number => {
    let low = 0,
      high = sorted.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (orEqual ? sorted[middle] <= score : sorted[middle] < score) low = middle + 1
      else high = middle
    }
    return low
  }
  const wins = yes.reduce((sum, score) => sum + (below(score, false) + below(score, true)) / 2, 0)
  return wins / (yes.length * no.length)
}
