export { IdBuffer } from './id-buffer.js'
export {
  type BatchEncoder,
  encodeAhead,
  loadTokenizer,
  startTokenizers,
  Tokenizer,
  tokenizerDifference,
} from './tokenizer.js'
export type { EncodeOptions, Encoding, Reader, TokenBatch } from './types.js'
export { surfaceOf } from './surface.js'
