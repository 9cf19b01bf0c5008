export { writeAtomic, writeFileAtomic, type AtomicOptions } from './atomic.js'
export type { Architecture, ArchitectureKind } from './config.js'
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
export { assertUnchanged, type FileRecord } from './files.js'
export { fileSha256, hashFiles, trustHash, type HashOptions } from './hash.js'
export { readSafetensorsHeader, type SafetensorsHeader, type StoredTensor } from './header.js'
export { inspect, tokenizerFiles, type Inspection } from './inspect.js'
export { listed, openModel, type ModelDirectory, type OpenOptions, type TensorEntry } from './model.js'
export { nativeWeights } from './native.js'
export { openPair, type BaseHead, type ModelPair, type PairOptions } from './pair.js'
export type { Tie } from './ties.js'
export { writeSafetensorsHeader, type HeaderPlan, type TensorPlan } from './writer.js'
