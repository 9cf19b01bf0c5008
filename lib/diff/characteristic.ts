const word = /\p{L}[\p{L}\p{M}]+(?:['’]\p{L}+)*/gu
const mostWords = 12

/**
 * Words that more texts of a group hold than of the others, the most telling first: by the logarithm of the ratio of
 * odds over its standard error, half a text added to each count (Haldane, 1956).
 * @param groups texts by group; of one group alone, the words that most texts hold
 */
export function characteristic(groups: readonly (readonly string[])[]): string[][] {
  const counts = groups.map((texts) => {
    const held = new Map<string, number>()
    for (const text of texts) {
      const words = new Set([...text.matchAll(word)].map(([found]) => found.toLowerCase()))
      for (const found of words) if (found.length > 2) held.set(found, (held.get(found) ?? 0) + 1)
    }
    return held
  })
  const total = groups.reduce((sum, texts) => sum + texts.length, 0)
  const all = new Map<string, number>()
  for (const held of counts) for (const [found, n] of held) all.set(found, (all.get(found) ?? 0) + n)
  return groups.map((texts, g) => {
    const score = (found: string, n: number): number => {
      const [inside, outside] = [texts.length, total - texts.length]
      const others = all.get(found)! - n
      const odds = Math.log((n + 0.5) / (inside - n + 0.5) / ((others + 0.5) / (outside - others + 0.5)))
      return (
        odds / Math.sqrt(1 / (n + 0.5) + 1 / (inside - n + 0.5) + 1 / (others + 0.5) + 1 / (outside - others + 0.5))
      )
    }
    return [...counts[g]]
      .map(([found, n]) => ({ found, score: score(found, n) }))
      .filter((one) => one.score > 0)
      .sort((a, b) => b.score - a.score || (a.found < b.found ? -1 : 1))
      .slice(0, mostWords)
      .map(({ found }) => found)
  })
}
