/** Words in a row that two texts share when they are near-copies. */
export const sharedWords = 8
/** Of these, different ones at least: loops of a few words are no copies. */
const leastDifferent = 6
/** Of the texts that share a passage, those that must agree on a further word. */
const agreeing = 0.5
/** Different words of a text that is shorter than that. */
const leastWhole = 4

export interface Passage {
  /** the words, as one of the texts has them */
  text: string
  /** numbers of the texts that hold it, ascending */
  texts: number[]
}

interface Words {
  /** compared: lower case, no punctuation */
  keys: string[]
  /** where each begins and ends in the text */
  from: number[]
  to: number[]
}

const word = /[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}\p{N}]+)*/gu

function wordsOf(text: string): Words {
  const words: Words = { keys: [], from: [], to: [] }
  for (const match of text.matchAll(word)) {
    words.keys.push(match[0].toLowerCase())
    words.from.push(match.index)
    words.to.push(match.index + match[0].length)
  }
  return words
}

/**
 * Passages that several texts return word for word, those of most texts first, ties in the order of the texts: runs of
 * `sharedWords` words or more, made longer while half of their texts agree. A text belongs to the first that it holds.
 */
export function findPassages(texts: readonly string[]): Passage[] {
  const words = texts.map(wordsOf)
  const runs = sharedRuns(words)
  const taken = new Set<number>()
  const passages: Passage[] = []
  for (;;) {
    let seed: Place[] = []
    for (const places of runs) {
      if (places.length <= Math.max(1, seed.length)) continue
      const free = places.filter(({ text }) => !taken.has(text))
      if (free.length > Math.max(1, seed.length)) seed = free
    }
    if (seed.length === 0) return passages
    passages.push({ text: quote(texts, words, extend(words, seed)), texts: seed.map(({ text }) => text) })
    for (const { text } of seed) taken.add(text)
  }
}

/** Where a run of words stands in a text: [from, to). */
interface Place {
  text: number
  from: number
  to: number
}

/** Runs of words that two texts hold at least, their first place in each. */
function sharedRuns(words: readonly Words[]): Place[][] {
  const found = new Map<string, Place[]>()
  const add = (key: string, place: Place): void => {
    const places = found.get(key)
    if (!places) found.set(key, [place])
    else if (places.at(-1)!.text !== place.text) places.push(place)
  }
  for (const [text, { keys }] of words.entries()) {
    for (let from = 0; from + sharedWords <= keys.length; from++) {
      const run = keys.slice(from, from + sharedWords)
      if (new Set(run).size >= leastDifferent) add(run.join(' '), { text, from, to: from + sharedWords })
    }
    // shorter texts are near-copies where all of their words agree; two or three may do so by chance
    const whole = keys.length < sharedWords && new Set(keys).size >= leastWhole
    if (whole) add(`whole: ${keys.join(' ')}`, { text, from: 0, to: keys.length })
  }
  return [...found.values()].filter((places) => places.length > 1)
}

function extend(words: readonly Words[], seed: readonly Place[]): Place[] {
  let places = [...seed]
  for (const side of ['before', 'behind'] as const) {
    for (;;) {
      const next = ({ text, from, to }: Place): string | undefined =>
        words[text].keys[side === 'before' ? from - 1 : to]
      const [key, held] = majority(places, next)
      if (key === undefined || held.length < Math.max(2, agreeing * seed.length)) break
      places = held.map(({ text, from, to }) =>
        side === 'before' ? { text, from: from - 1, to } : { text, from, to: to + 1 },
      )
    }
  }
  return places
}

function majority(places: readonly Place[], next: (place: Place) => string | undefined): [string | undefined, Place[]] {
  const by = new Map<string, Place[]>()
  for (const place of places) {
    const key = next(place)
    if (key !== undefined) by.set(key, [...(by.get(key) ?? []), place])
  }
  let best: [string | undefined, Place[]] = [undefined, []]
  for (const entry of by) if (entry[1].length > best[1].length) best = entry
  return best
}

/** The words with what stands between them, and the mark behind them, as the first text has them. */
function quote(texts: readonly string[], words: readonly Words[], [{ text, from, to }]: readonly Place[]): string {
  const end = words[text].to[to - 1]
  const mark = /^[.!?]/.exec(texts[text].slice(end))?.[0] ?? ''
  return texts[text].slice(words[text].from[from], end) + mark
}
