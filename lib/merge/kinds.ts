import { type Kinds, pathKinds, runKinds } from '../options.js'
import type { MergeOptions } from './merge.js'

/** What `merge` takes. */
export const mergeKinds: Kinds<MergeOptions> = {
  ...runKinds,
  ...pathKinds,
  base: 'text',
  reference: 'text',
  output: 'text',
  lambda: 'number',
  baseHead: 'baseHead',
  tokenizer: 'text',
  dtype: 'text',
  maxShard: 'number',
  force: 'flag',
  wait: 'flag',
  threads: 'number',
}
