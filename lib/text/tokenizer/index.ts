export { IdBuffer } from './id-buffer.js'
export { type BatchEncoder, encodeAhead, loadTokenizer, Tokenizer, tokenizerDifference } from './tokenizer.js'
export type { EncodeOptions, Encoding, Reader, TokenBatch } from './types.js'
export { surfaceOf } from './surface.js'
