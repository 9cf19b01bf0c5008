/** How much of two sets of texts is the same. */
export interface Overlap {
  /** of whole texts: common ones over all */
  exact: number
  /** of the words that occur: common ones over all; common ones over the true texts' */
  vocabulary: number
  containment: number
}

export function overlapOf(texts: string[], truth: string[]): Overlap {
  const [a, b] = [new Set(texts), new Set(truth)]
  const [words, trueWords] = [wordsOf(texts), wordsOf(truth)]
  return {
    exact: jaccard(a, b),
    vocabulary: jaccard(words, trueWords),
    containment: trueWords.size > 0 ? common(words, trueWords) / trueWords.size : 0,
  }
}

const wordsOf = (texts: string[]): Set<string> =>
  new Set(texts.flatMap((text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []))

const common = (a: Set<string>, b: Set<string>): number => [...a].reduce((sum, one) => sum + (b.has(one) ? 1 : 0), 0)

function jaccard(a: Set<string>, b: Set<string>): number {
  const both = common(a, b)
  return both === 0 ? 0 : both / (a.size + b.size - both)
}
