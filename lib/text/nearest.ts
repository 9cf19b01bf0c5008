/** Letters to insert, delete, replace or swap (with the neighbour) to turn one word into the other. */
function editDistance(a: string, b: string): number {
  const width = b.length + 1
  const cost = new Uint16Array((a.length + 1) * width)
  for (let j = 0; j <= b.length; j++) cost[j] = j
  for (let i = 1; i <= a.length; i++) {
    cost[i * width] = i
    for (let j = 1; j <= b.length; j++) {
      const at = i * width + j
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(cost[at - width] + 1, cost[at - 1] + 1, cost[at - width - 1] + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, cost[at - 2 * width - 2] + 1)
      }
      cost[at] = best
    }
  }
  return cost[cost.length - 1]
}

const longestWord = 64

/**
 * The candidate a person most likely meant: the same but for case, or within a third of the letters; undefined
 * where nothing is near.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  if (word.length > longestWord) return undefined
  const wanted = word.toLowerCase()
  let best: string | undefined
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    if (candidate.length > longestWord) continue
    const distance = editDistance(wanted, candidate.toLowerCase())
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** `did you mean "x"?`, or what to say instead. */
export function meant(word: string, candidates: readonly string[], otherwise: string): string {
  const near = nearest(word, candidates)
  return near === undefined ? otherwise : `did you mean "${near}"?`
}

/** The same of names of classes and domains: those that differ in a number are different ones, no slip of the pen. */
export function meantName(word: string, names: readonly string[], otherwise: string): string {
  const numbers = (text: string): string => text.replace(/\D+/g, ' ').trim()
  return meant(
    word,
    names.filter((name) => numbers(name) === numbers(word)),
    otherwise,
  )
}
