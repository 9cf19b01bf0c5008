// Several models fine-tuned from one base, or steps of one run: the mixture of each, side by side.
import path from 'node:path'
import { whileUnchanged } from './checkpoint/index.js'
import { usageError } from './errors.js'
import { Shared, spooled, planOf, type FootprintPlan, type ScoreSpool } from './footprint/index.js'
import { localModels, parseHubName } from './hub/index.js'
import type { Progress } from './native/task.js'
import { checkOptions, type Kinds } from './options.js'
import { commandOf, openChecked, recoverKinds, recoverOpened, type Recovered, type RecoverOptions } from './recover.js'
import type { RecoverResult } from './report/schema.js'

export interface FamilyOptions extends Omit<RecoverOptions, 'reference' | 'checkpoint' | 'spool'> {
  /** two or more, in the order in which they are shown; of the same labels, or language models */
  references: string[]
  /** where the scores of each are kept while they are made, in the order of the references */
  spools?: ScoreSpool[]
}

export interface FamilyResult {
  schema: 'warp.family/1'
  tool: RecoverResult['tool']
  command: Record<string, unknown>
  domains: string[]
  members: FamilyMember[]
}

export interface FamilyMember {
  /** short, other than that of every other member, and fit for the name of a folder */
  name: string
  reference: string
  result: RecoverResult
}

export interface Family {
  result: FamilyResult
  /** N × K of each member, row-major, in the order of the probes; not part of the JSON document */
  alignments: Float64Array[]
}

const { reference: _one, checkpoint: _between, spool: _kept, ...others } = recoverKinds
const kinds: Kinds<FamilyOptions> = { ...others, references: 'texts', spools: 'any' }

/**
 * `recover` for several references of one base: the probes are read and tokenized, and the base is hashed, once; all
 * models are opened and checked before the first is scored. Each member's result is what `recover` gives of it alone.
 * @throws as `recover`; WarpError (usage) FAMILY_SIZE, FAMILY_TWICE, (input) FAMILY_LABELS
 */
export async function recoverFamily(given: FamilyOptions): Promise<Family> {
  checkOptions('recoverFamily', given, kinds, ['base', 'references', 'probes'])
  const { spools = [], ...plain } = given
  const { references, ...rest } = plain
  const names = familyNames(references)
  const found = await withMembers(plain, spools, async (members) => {
    const recovered: Recovered[] = []
    for (const [m, { opened, options, command }] of members.entries()) {
      plain.signal?.throwIfAborted()
      recovered.push(await recoverOpened(opened, { ...options, spool: spools[m] }, command))
    }
    return recovered
  })
  const [{ result: first }] = found
  const result: FamilyResult = {
    schema: 'warp.family/1',
    tool: first.tool,
    command: { ...commandOf(rest), reference: references },
    domains: first.domains.map(({ name }) => name),
    members: found.map(({ result }, m) => ({ name: names[m], reference: references[m], result })),
  }
  return { result, alignments: found.map(({ alignment }) => alignment) }
}

export interface FamilyPlan {
  schema: 'warp.family.plan/1'
  members: { name: string; plan: FootprintPlan }[]
}

/** What each member would take; opens and checks everything, but scores nothing. @throws as `recoverFamily` */
export async function planFamily(given: FamilyOptions): Promise<FamilyPlan> {
  checkOptions('planFamily', given, kinds, ['base', 'references', 'probes'])
  const { spools: _none, ...plain } = given
  const names = familyNames(plain.references)
  return withMembers(plain, [], async (members) => ({
    schema: 'warp.family.plan/1',
    members: members.map(({ opened }, m) => ({ name: names[m], plan: planOf(opened.session) })),
  }))
}

interface Member {
  opened: Awaited<ReturnType<typeof openChecked>>
  options: RecoverOptions
  command: Record<string, unknown>
}

/** All members opened, and closed whatever happens. Of files that change meanwhile nothing is kept. */
async function withMembers<T>(
  { references, onProgress, ...rest }: Omit<FamilyOptions, 'spools'>,
  spools: readonly ScoreSpool[],
  work: (members: Member[]) => Promise<T>,
): Promise<T> {
  let opening = true
  const all: Omit<Member, 'opened'>[] = []
  for (const [m, reference] of references.entries()) {
    const given: RecoverOptions = { ...rest, reference }
    // once all are open, the models are what is counted
    const told = (progress: Progress): void => {
      const { phase, done, total } = progress
      if (opening) onProgress?.(progress)
      else if (phase === 'score' && total > 0)
        onProgress?.({ phase: 'models', done: m + done / total, total: references.length, unit: 'models' })
    }
    const options = await localModels({ ...given, onProgress: onProgress && told })
    all.push({ options, command: commandOf(given) })
  }
  const run = async (): Promise<T> => {
    const shared = new Shared()
    const members: Member[] = []
    try {
      for (const member of all) members.push({ ...member, opened: await openChecked(member.options, shared) })
      opening = false
      return await work(members)
    } finally {
      for (const { opened } of members) opened.session.close()
    }
  }
  const folders = [all[0].options.base, ...all.map(({ options }) => options.reference)]
  const unchanged = (): Promise<T> => whileUnchanged(folders, run)
  return spools.reduce<() => Promise<T>>((inner, spool) => () => spooled(spool, inner), unchanged)()
}

/** What stands beside the folders of the models in an output folder. */
const beside = ['result.json', 'report.html', 'scored']

/**
 * Names of models, short and each once: the last parts of their paths that tell them apart.
 * @throws WarpError (usage) FAMILY_SIZE, FAMILY_TWICE
 */
export function familyNames(references: readonly string[]): string[] {
  if (references.length < 2)
    throw usageError('FAMILY_SIZE', 'a family has two references or more', {}, 'recover({ reference })')
  const parts = references.map((given) => {
    const hub = parseHubName(given, 'model')
    return hub ? given.slice(3).split(/[/@]/) : path.resolve(given).split(path.sep).filter(Boolean)
  })
  const nameOf = (all: string[], length: number): string =>
    all
      .slice(-length)
      .join('-')
      .replace(/[^\w.@-]/g, '_')
  for (let length = 1; length <= Math.max(...parts.map((all) => all.length)); length++) {
    const names = parts.map((all) => nameOf(all, length))
    if (new Set(names).size === names.length && !names.some((name) => beside.includes(name))) return names
  }
  const twice = references.find((one, at) => references.indexOf(one) < at) ?? references[0]
  throw usageError('FAMILY_TWICE', `${twice}: is given twice`, { file: twice }, 'each reference once')
}
