export { writeAtomic, writeFileAtomic, type AtomicOptions } from './atomic.js'
export type { Architecture } from './config.js'
export {
  dtypeBits,
  dtypeNames,
  isDtype,
  isIntegerDtype,
  isWeightDtype,
  tensorBytes,
  type Dtype,
  type WeightDtype,
} from './dtypes.js'
export { openReference } from './adapt.js'
export type { Adapter } from './adapter.js'
export { readCarried, type CarriedFile } from './carried.js'
export { assertUnchanged, readExactly, withFile, type FileRecord } from './files.js'
export { fileSha256, hashFiles, trustHash, type HashOptions } from './hash.js'
export { readSafetensorsHeader, type SafetensorsHeader, type StoredTensor } from './header.js'
export { inspect, tokenizerFiles, type Inspection } from './inspect.js'
export { filesNow, hashGiven, smallFiles, type GivenInput, type InputFile } from './inputs.js'
export { listed, networkOf, openModel, type ModelDirectory, type OpenOptions, type TensorEntry } from './model.js'
export { parseStrictJson } from './json.js'
export { nativeWeights } from './native.js'
export { openPair, pairOf, type BaseHead, type ModelPair, type PairOptions } from './pair.js'
export { requireTable, sideTable } from './tables.js'
export { pairTokenizer, type TokenizerChoice } from './tokenizers.js'
export { isOutput, type Tie } from './ties.js'
export { whileUnchanged } from './unchanged.js'
export { writeSafetensorsHeader, type HeaderPlan, type TensorPlan } from './writer.js'
