import { noTarget } from '../native/types.js'

/** Packed texts whose prompts, where they have any, are the first tokens. */
export interface LanguageTexts {
  ids: Uint32Array
  /** n + 1 */
  offsets: Uint32Array
  /** n: tokens of each text's prompt; absent: no text has one */
  prompts?: Uint32Array
}

/**
 * By token the next one, where its loss counts: all tokens of a text but the first are targets; behind a prompt only
 * the response's. The last token of a text predicts nothing.
 */
export function targetsOf({ ids, offsets, prompts }: LanguageTexts): Uint32Array {
  const targets = new Uint32Array(ids.length).fill(noTarget)
  for (let text = 0; text + 1 < offsets.length; text++) {
    const first = offsets[text] + Math.max(0, (prompts?.[text] ?? 1) - 1)
    for (let i = first; i + 1 < offsets[text + 1]; i++) targets[i] = ids[i + 1]
  }
  return targets
}

/** How many targets each text has. */
export function targetCounts(targets: Uint32Array, offsets: Uint32Array): Uint32Array {
  return Uint32Array.from({ length: offsets.length - 1 }, (_, text) => {
    let count = 0
    for (let i = offsets[text]; i < offsets[text + 1]; i++) count += Number(targets[i] !== noTarget)
    return count
  })
}
