import type { PackedProbes } from '../text/index.js'

/**
 * Texts as language models often read them: those of a domain one after the other in their order, the end token behind
 * each, cut into windows of `window` tokens; the last window of a domain may be shorter, and is left out where it has
 * fewer than two tokens. A window's last token predicts nothing.
 * @returns the windows, each as a text of its domain
 */
export function packWindows(packed: PackedProbes, domains: number, endToken: number, window: number): PackedProbes {
  const { ids, offsets, domain } = packed
  const all: number[] = []
  const ends = [0]
  const of: number[] = []
  for (let d = 0; d < domains; d++) {
    let first = all.length
    for (let text = 0; text < domain.length; text++) {
      if (domain[text] !== d) continue
      for (let i = offsets[text]; i < offsets[text + 1]; i++) all.push(ids[i])
      all.push(endToken)
    }
    for (; all.length - first > window; first += window) {
      ends.push(first + window)
      of.push(d)
    }
    if (all.length - first >= 2) {
      ends.push(all.length)
      of.push(d)
    } else {
      all.length = first
    }
  }
  return {
    ids: Uint32Array.from(all),
    typeIds: new Uint8Array(all.length),
    offsets: Uint32Array.from(ends),
    label: Int32Array.from(of),
    domain: Int32Array.from(of),
    truncated: packed.truncated,
    longest: ends.reduce((most, end, i) => (i === 0 ? most : Math.max(most, end - ends[i - 1])), 0),
  }
}
