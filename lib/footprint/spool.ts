import { createHash } from 'node:crypto'
import { readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSha256 } from '../checkpoint/index.js'
import { removeParts } from '../claim.js'
import { digestOf } from '../document.js'
import { toolOf } from '../doctor.js'
import { inputError } from '../errors.js'
import { makeFolders } from '../folders.js'
import { addon } from '../native/load.js'
import type { ScoreResult } from '../native/types.js'
import { readSections, type Section, writeSections } from '../sections.js'
import type { PackedProbes } from '../text/index.js'
import { measureRate } from './rate.js'
import { scoreProbes } from './score.js'
import type { Session } from './session.js'

/** How scores are kept while they are made. */
export interface SpoolOptions {
  /** that nothing else is in */
  folder: string
  /** seconds of work from one file to the next, about; a run that takes less than two is not kept. Default 20 */
  seconds?: number
  /** texts of a file, instead */
  texts?: number
  /** lines for people: what an earlier run left, and what is not used */
  onNote?: (line: string) => void
}

/** What a file holds of texts `begin` to `end`. */
interface Facts {
  schema: 'warp.scores/1'
  key: string
  begin: number
  end: number
}

interface Part extends Facts {
  sections: Record<string, Section>
}

/** The meaning of the files: those of another one are not taken. */
const version = 1
const form = /^([0-9a-f]{16})-(\d{9})\.bin$/

/**
 * Scores in files, so that a run that was stopped goes on: texts are passed forward some at a time, and what comes of
 * that lies under a key of everything that decides it. What a stopped run left gives the same bits as computing it.
 */
export class ScoreSpool {
  /** texts whose scores are kept so far */
  kept = 0
  #key = ''

  constructor(readonly options: SpoolOptions) {}

  /** Texts of a file; undefined where all is done sooner than it is worth keeping. */
  #textsOf({ packed, plan, score }: Session): number | undefined {
    const texts = packed.domain.length
    const { seconds = 20, texts: asked } = this.options
    const whole = plan.flops / measureRate(score.threads)
    const found = asked ?? Math.ceil((texts * seconds) / whole)
    return 2 * found > texts ? undefined : found
  }

  /**
   * The session's scores: those of an earlier run are read, the others computed and kept.
   * @throws WarpError as `scoreProbes`; SCORES_DAMAGED, DISK_FULL, OUTPUT_NOT_WRITABLE
   */
  async score(session: Session): Promise<ScoreResult | undefined> {
    if (session.score.device) return undefined // what follows from head inputs is computed there too
    const found = await this.#names()
    const asked = this.#textsOf(session)
    if (asked === undefined && found.length === 0) return undefined
    this.#key = await keyOf(session)
    const parts = await this.#read(found)
    const texts = session.packed.domain.length
    const step = asked ?? (this.kept > 0 ? texts : undefined)
    if (step === undefined) return undefined
    for (let begin = this.kept; begin < texts; begin = this.kept) {
      const facts: Facts = { schema: 'warp.scores/1', key: this.#key, begin, end: Math.min(texts, begin + step) }
      const sections = await scorePart(session, facts)
      await makeFolders(this.options.folder)
      await writeSections(this.#file(begin), facts, sections)
      parts.push({ ...facts, sections })
      this.kept = facts.end
    }
    return joined(session, parts)
  }

  #file(begin: number): string {
    return join(this.options.folder, `${this.#key.slice(0, 16)}-${String(begin).padStart(9, '0')}.bin`)
  }

  /** Names of what earlier runs left. */
  async #names(): Promise<string[]> {
    const { folder } = this.options
    await removeParts(folder, (name) => form.test(name))
    return (await readdir(folder).catch(() => [])).filter((name) => form.test(name))
  }

  /** What an earlier run left of the same inputs, from the first text on without a gap. */
  async #read(names: readonly string[]): Promise<Part[]> {
    const { folder, onNote } = this.options
    const own = names.filter((name) => name.startsWith(this.#key.slice(0, 16)))
    const parts: Part[] = []
    for (let name = this.#file(0); own.some((one) => join(folder, one) === name); name = this.#file(this.kept)) {
      const damaged = (what: string): Error =>
        inputError(
          'SCORES_DAMAGED',
          `${name}: kept scores: the file ${what}`,
          { file: name },
          'delete the file: it will be made again',
        )
      const { facts, sections } = await readSections<Facts>(name, 'warp.scores/1', damaged)
      if (facts.key !== this.#key || facts.begin !== this.kept) throw damaged('belongs elsewhere')
      parts.push({ ...facts, sections })
      this.kept = facts.end
    }
    if (this.kept > 0) onNote?.(`${folder}: ${this.kept} texts were scored by an earlier run, which goes on here`)
    const others = names.length - own.length
    if (others > 0)
      onNote?.(`${folder}: scores of other models, texts, paths or versions are not used (${others} files)`)
    return parts
  }

  /** Removes the files of this run: its result is written, or its models changed. */
  async remove(): Promise<void> {
    const { folder } = this.options
    const names = this.#key === '' ? [] : await readdir(folder).catch(() => [])
    const own = names.filter((name) => form.test(name) && name.startsWith(this.#key.slice(0, 16)))
    for (const name of own) await rm(join(folder, name), { force: true })
    await rmdir(folder).catch(() => undefined) // scores of other inputs stay
  }
}

/** Of everything that decides the bits of the scores. */
async function keyOf(session: Session): Promise<string> {
  const { pair, path, packed, network, scope, device, between } = session
  const inputs = await session.inputs.finish()
  const { ids, typeIds, offsets, label, prompts } = packed
  const texts = createHash('sha256')
  for (const array of [ids, typeIds, offsets, label, prompts])
    if (array) texts.update(Buffer.from(array.buffer, array.byteOffset, array.byteLength)).update('|')
  const { checkpoints: _handles, ...request } = path
  const { version: release, commit } = toolOf(device)
  return digestOf({
    version: [version, release, commit],
    arithmetic: addon().cpuName(),
    models: inputs.filter(({ role }) => role !== 'probes').map(({ role, sha256 }) => [role, sha256]),
    generated: pair.generated,
    request,
    between: await Promise.all(between.map((file) => fileSha256(file, { signal: session.score.signal }))),
    network,
    scope: scope.request,
    texts: texts.digest('hex'),
  })
}

/** What is kept of some texts: head inputs of classifiers, from which the rest follows, and what does not. */
async function scorePart(session: Session, { begin, end }: Facts): Promise<Record<string, Section>> {
  const { packed, network, pathHandle, score } = session
  const share = (end - begin) / packed.domain.length
  const onProgress: typeof score.onProgress =
    score.onProgress &&
    (({ phase, done, total, unit }) => {
      const all = Math.round(total / share)
      score.onProgress!({
        phase,
        done: Math.min(all, done + Math.round((all * begin) / packed.domain.length)),
        total: all,
        unit,
      })
    })
  const language = network.objective === 'language'
  const options = { ...score, onProgress, gradients: false, headInputs: !language }
  const { loss, alignment, tokenLoss, headInputs } = await scoreProbes(
    pathHandle,
    network,
    sliceOf(packed, begin, end),
    1,
    options,
  )
  return language ? { loss, alignment, tokenLoss: tokenLoss! } : { alignment, headInputs: headInputs! }
}

/** Texts of them, as one domain: in a part some may have none. */
function sliceOf(packed: PackedProbes, begin: number, end: number): PackedProbes {
  const [from, to] = [packed.offsets[begin], packed.offsets[end]]
  return {
    ...packed,
    ids: packed.ids.slice(from, to),
    typeIds: packed.typeIds.slice(from, to),
    offsets: packed.offsets.slice(begin, end + 1).map((offset) => offset - from),
    label: packed.label.slice(begin, end),
    domain: new Int32Array(end - begin),
    ...(packed.prompts && { prompts: packed.prompts.slice(begin, end) }),
  }
}

/** What one call for all texts would give. */
async function joined(session: Session, parts: Part[]): Promise<ScoreResult> {
  const { network, packed, path, pathHandle, probes, score, plan } = session
  const alignment = concatenated(parts, 'alignment')
  if (network.objective === 'language') {
    const [loss, tokenLoss] = [concatenated(parts, 'loss'), concatenated(parts, 'tokenLoss')]
    return { loss, alignment, tokenLoss, logits: new Float32Array(0), gradients: [], record: [], plan }
  }
  const texts = packed.domain.length
  const passes = path.lambdas.length + 2
  const width = (parts[0].sections.headInputs as Float32Array).length / (passes * parts[0].end)
  const features = new Float32Array(passes * texts * width)
  for (const { begin, end, sections } of parts) {
    const rows = (end - begin) * width
    for (let pass = 0; pass < passes; pass++) {
      const own = (sections.headInputs as Float32Array).subarray(pass * rows, (pass + 1) * rows)
      features.set(own, (pass * texts + begin) * width)
    }
  }
  const options = { ...score, features, onProgress: undefined }
  const found = await scoreProbes(pathHandle, network, packed, probes.domains.length, options)
  // closed forms follow from the features; along tensors by name the parts have them
  return Array.isArray(score.scope) ? { ...found, alignment } : found
}

function concatenated(parts: Part[], name: string): Float64Array {
  const all = parts.map(({ sections }) => sections[name] as Float64Array)
  const result = new Float64Array(all.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const one of all) {
    result.set(one, at)
    at += one.length
  }
  return result
}

/** Work that a spool serves: scores of models that changed meanwhile are removed. */
export async function spooled<T>(spool: ScoreSpool | undefined, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if ((error as { code?: string } | undefined)?.code === 'FILE_CHANGED') await spool?.remove()
    throw error
  }
}
