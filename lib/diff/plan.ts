import { nativeWeights, openModel, openReference } from '../checkpoint/index.js'
import { sharedTensors } from '../checkpoint/sample.js'
import { localModels } from '../hub/index.js'
import { checkOptions } from '../options.js'
import { chosenParts, diffKinds, partOptions, type DiffOptions } from './index.js'
import { NotApplicable } from './part.js'
import { weights } from './weights.js'

/** What `diff` would do: the answer of `--dry-run`. */
export interface DiffPlan {
  schema: 'warp.diff.plan/1'
  /** in their order; which of them apply is seen when they run */
  parts: { part: string; about: string }[]
  /** of one name and shape in both models, their elements and the bytes of both */
  tensors: number
  elements: number
  bytes: number
  /** elements of the tensors that were compared to see what all take */
  tried: number
  /** of the part `weights` by those; null where it is not asked for */
  weightsSeconds: number | null
  /** that the reference would be made to write, where the part `texts` is asked for and applies */
  texts: { count: number; maxNewTokens: number } | null
  /** within which the difference of one tensor stays */
  memoryBudgetBytes: number
  /** of the whole process, up to the end of the trial */
  peakMemoryBytes: number
  notes: string[]
}

/**
 * Opens and checks both models, compares some tensors to see what all take, and writes nothing.
 * @throws WarpError of options and of `openModel`; what the part `weights` refuses of those tensors
 */
export async function planDiff(given: DiffOptions): Promise<DiffPlan> {
  checkOptions('planDiff', given, diffKinds, ['base', 'reference'])
  const options = await localModels(given)
  const chosen = chosenParts(options.only)
  const asked = partOptions(options)
  const base = await openModel(options.base, { forward: false })
  const reference = await openReference(options.reference, base, { forward: false })
  const { sample, ...shared } = sharedTensors(base, reference)
  const named = (name: string): boolean => chosen.some((part) => part.name === name)
  const handles = { base: nativeWeights(sample.base), reference: nativeWeights(sample.reference) }
  let seconds: number | null = null
  try {
    const started = performance.now()
    if (named('weights') && sample.elements > 0) {
      await weights
        .run({ base: sample.base, reference: sample.reference, handles }, asked, [])
        .catch((error: unknown) => {
          if (!(error instanceof NotApplicable)) throw error // of these tensors alone
        })
      seconds = ((performance.now() - started) / 1000) * (shared.elements / sample.elements)
    }
  } finally {
    handles.base.close()
    handles.reference.close()
  }
  const { count, maxNewTokens } = asked.making
  return {
    schema: 'warp.diff.plan/1',
    parts: chosen.map(({ name, about }) => ({ part: name, about })),
    ...shared,
    tried: seconds === null ? 0 : sample.elements,
    weightsSeconds: seconds,
    texts: named('texts') ? { count, maxNewTokens } : null,
    memoryBudgetBytes: asked.memory,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    notes: [...new Set([...base.notes, ...reference.notes])],
  }
}
