// What `warp trace -o` writes: the result, lists of tokens and texts, and the page.
import { join } from 'node:path'
import { filesNow, hashGiven, type FileRecord } from '../lib/checkpoint/index.js'
import { tracePage, type ExcludedText } from '../lib/report/index.js'
import { csvLine } from '../lib/report/escape.js'
import { surfaceOf } from '../lib/text/tokenizer/index.js'
import type { Member, Traced, TracedText } from '../lib/trace/index.js'
import type { RunOptions } from '../lib/native/task.js'
import { LineWriter } from './line-writer.js'
import { writeOutput } from './output-folder.js'

const always = ['result.json', 'tokens.jsonl', 'report.html']
const lists = ['documents.jsonl', 'members.csv', 'excluded.csv'] as const

/** Every file that a folder may get. */
export const traceFiles = [...always, ...lists]

/** Excluded texts of each domain on the page. */
const shownOfDomain = 25,
  mostShown = 400

/** Options of the trace, as they were given. */
interface Pair {
  base: string
  reference: string
  probes?: string[]
  predictions?: boolean
  votes?: boolean
}

/** Lists grow while texts are traced; everything gets its name at the end. */
export class TraceFolder {
  private readonly shown: ExcludedText[] = []
  private readonly ofDomain = new Map<string, number>()

  private constructor(
    readonly folder: string,
    readonly pair: Pair,
    readonly probes: readonly FileRecord[],
    readonly force: boolean,
    private readonly writers: Partial<Record<(typeof lists)[number], LineWriter>>,
  ) {}

  static async open(folder: string, pair: Pair, force = false): Promise<TraceFolder> {
    const writers: TraceFolder['writers'] = {}
    try {
      for (const name of pair.probes ? lists : []) writers[name] = await LineWriter.open(join(folder, name), force)
      writers['excluded.csv']?.addLine('domain,source,row,tokens,text')
      return new TraceFolder(folder, pair, await filesNow(pair.probes), force, writers)
    } catch (error) {
      for (const writer of Object.values(writers)) await writer.discard()
      throw error
    }
  }

  /** Adds a text to the lists. */
  async add(one: TracedText, spelling: (id: number) => string): Promise<void> {
    const { record, domain, status, untrained, spared, tokens, truncated } = one
    const { row, source, text } = record
    await this.writers['documents.jsonl']?.add({ row, source, domain, status, tokens, truncated, untrained, spared })
    if (status !== 'excluded') return
    const spellings = untrained.map((id) => surfaceOf(spelling(id)))
    await this.writers['excluded.csv']?.addLine(csvLine([domain, source, row, spellings.join(' '), text]))
    const count = this.ofDomain.get(domain) ?? 0
    if (count >= shownOfDomain || this.shown.length >= mostShown) return
    this.ofDomain.set(domain, count + 1)
    this.shown.push({ domain, source, text, tokens: spellings })
  }

  /** Writes what the trace found, and the page. */
  async write(found: Traced, run: RunOptions): Promise<void> {
    const { base, reference } = this.pair
    const given = [
      { role: 'base', model: base },
      { role: 'reference', model: reference },
    ]
    const files = await hashGiven([...given, { role: 'probes', files: this.probes }], run)
    const added = (['byTable', 'output', 'predictions'] as const).filter((name) =>
      found.members.some((member) => member[name] !== undefined),
    )
    await this.writers['members.csv']?.addLine(['rank', 'probability', ...added, 'domain,source,row,text'].join())
    for (const [i, member] of found.members.entries()) await this.addMember(i + 1, member, added)
    for (const writer of Object.values(this.writers)) await writer.commit()
    const excluded = [...this.shown].sort((a, b) => (a.domain < b.domain ? -1 : Number(a.domain > b.domain)))
    const out = {
      'result.json': JSON.stringify(found.result, null, 2) + '\n',
      'tokens.jsonl': found.tokens.map((token) => JSON.stringify(token) + '\n').join(''),
      'report.html': tracePage({ ...found, excluded, files, options: { ...this.pair } }),
    }
    const others = lists.filter((name) => !this.writers[name])
    await writeOutput(this.folder, out, this.force, others)
  }

  private addMember(
    rank: number,
    member: Member,
    added: readonly ('byTable' | 'output' | 'predictions')[],
  ): Promise<void> | undefined {
    const { probability, domain, source, row, text } = member
    const parts = added.map((name) => member[name]!)
    return this.writers['members.csv']?.addLine(csvLine([rank, probability, ...parts, domain, source, row, text]))
  }

  /** Removes what was not written. */
  async discard(): Promise<void> {
    for (const writer of Object.values(this.writers)) await writer.discard()
  }
}
