export { mergeDtypes, type MergeDtype } from './layout.js'
export {
  merge,
  planMerge,
  type MergePlan,
  type MergeInput,
  type MergeOptions,
  type MergeRecord,
  type MergeResult,
} from './merge.js'
