/**
 * Remembers the ids of words already split, in bounded memory: when the young generation is full it becomes the old one
 * and the old one is forgotten, so words in use survive.
 */
export class WordCache {
  private young = new Map<string, readonly number[]>()
  private old = new Map<string, readonly number[]>()

  /** @param generation words per generation; at most twice as many are held */
  constructor(private readonly generation = 1 << 15, private readonly longest = 64) {}

  get(word: string): readonly number[] | undefined {
    const hit = this.young.get(word)
    if (hit !== undefined) return hit
    const aged = this.old.get(word)
    if (aged !== undefined) this.set(word, aged)
    return aged
  }

  /** Words above `longest` UTF-16 units are not kept: they seldom come back. */
  set(word: string, ids: readonly number[]): void {
    if (word.length > this.longest) return
    if (this.young.size >= this.generation) {
      this.old = this.young
      this.young = new Map()
    }
    // a slice of 13 units or more shares its text's memory in V8: keep a copy, or one word would keep a whole book
    this.young.set(word.length < 13 ? word : (' ' + word).slice(1), ids)
  }
}
