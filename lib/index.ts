export { fileSha256, inspect, type BaseHead, type Inspection } from './checkpoint/index.js'
export {
  diff,
  diffSchema,
  planDiff,
  type Diffed,
  type DiffOptions,
  type DiffPlan,
  type DiffResult,
} from './diff/index.js'
export { listDevices, type Doctor } from './doctor.js'
export { WarpError } from './errors.js'
export type { ErrorDetails, ErrorKind } from './errors.js'
export {
  footprint,
  npy,
  planFootprint,
  type FootprintOptions,
  type FootprintPlan,
  type FootprintResult,
} from './footprint/index.js'
export {
  generate,
  planGenerate,
  type GeneratedText,
  type GenerateOptions,
  type GeneratePlan,
  type GenerateResult,
} from './generate/index.js'
export * as lab from './lab/index.js'
export {
  merge,
  planMerge,
  type MergeOptions,
  type MergePlan,
  type MergeRecord,
  type MergeResult,
} from './merge/index.js'
export type { Progress, RunOptions } from './native/task.js'
export { openPath, pathFamilies, type OpenedPath, type OpenPathOptions } from './paths/index.js'
export { predict, type Prediction, type PredictOptions, type PredictResult } from './predict.js'
export { planTrace, type TracePlan } from './plan-trace.js'
export {
  planFamily,
  recoverFamily,
  type Family,
  type FamilyMember,
  type FamilyOptions,
  type FamilyPlan,
  type FamilyResult,
} from './family.js'
export { planRecover, recover, type RecoverOptions, type Recovered } from './recover.js'
export type { Diagnostics, MixtureResult } from './readouts/index.js'
export {
  planTrain,
  train,
  type TrainingRecord,
  type TrainingResult,
  type TrainOptions,
  type TrainPlan,
} from './train/index.js'
export {
  readRecords,
  type GivenTexts,
  type ProbeFormat,
  type ProbeOptions,
  type ProbeSource,
  type TextRecord,
} from './text/index.js'
export { loadTokenizer, Tokenizer } from './text/tokenizer/index.js'
export {
  dataCard,
  evaluatePage,
  familyPage,
  htmlReport,
  labPage,
  tracePage,
  trainPage,
  type EvaluatePage,
  type LabPage,
  type TracePage,
  type TrainPage,
} from './report/index.js'
export { resultSchema, type RecoverResult } from './report/schema.js'
export { jsonSchemas, resultSchemas } from './schemas/index.js'
export {
  evaluateSelection,
  mergeSelection,
  planSelect,
  select,
  selectPart,
  type EvaluateOptions,
  type EvaluateResult,
  type FeatureOptions,
  type MergeOptions as MergeSelectionOptions,
  type Part,
  type PartResult,
  type Selected,
  type SelectedDocument,
  type SelectOptions,
  type SelectPlan,
  type SelectResult,
} from './select/index.js'
export { trace, type Traced, type TracedText, type TraceOptions, type TraceResult } from './trace/index.js'
