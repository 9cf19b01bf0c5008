export { IdBuffer } from './id-buffer.js'
export { loadTokenizer } from './load.js'
export { Tokenizer, type EncodeOptions, type Encoding } from './tokenizer.js'
export { surfaceOf } from './surface.js'
