import { domains } from './domains.js'
import { lens } from './lens.js'
import type { Part } from './part.js'
import { predictions } from './predictions.js'
import { texts } from './texts.js'
import { weights } from './weights.js'
import { words } from './words.js'

/** Every part, in the order in which they are run and shown. A further one is a file of its own, and a line here. */
// biome-ignore lint/suspicious/noExplicitAny: each part has a result of its own, which its own functions take
export const parts: readonly Part<any>[] = [weights, words, predictions, lens, texts, domains]
export const partNames: readonly string[] = parts.map(({ name }) => name)
