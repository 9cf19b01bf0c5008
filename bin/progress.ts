// One bar for a whole run: what each phase is worth, how far the run is, how long it has still to go.
import type { SingleBar } from 'cli-progress'
import type { Progress } from '../lib/native/task.js'
import { printable } from '../lib/printable.js'

/**
 * Phases in the order in which commands go through them, with about the time that each takes beside the others. No run
 * has all: what is left out is shared among those that follow.
 */
const expected: readonly (readonly [phase: string, weight: number])[] = [
  ['download', 40],
  ['read', 2],
  ['tokenize', 2],
  ['weights', 1],
  ['survey', 1],
  ['path', 1],
  ['singular values', 20],
  ['hash', 1],
  ['tables', 1],
  ['tensors', 1],
  ['rows', 1],
  ['members', 1],
  ['calibration', 6],
  ['predictions', 20],
  ['directions', 20],
  ['score', 80],
  ['gradients', 10],
  ['resample', 2],
]

/** Phases that are nearly all of their run: nothing but them counts. */
const alone = new Set([
  ...['train', 'trials', 'fit', 'cross-validate', 'generate', 'predict'],
  ...['write', 'windows', 'parts', 'models'],
])

export interface Course {
  phase: string
  /** of the whole run, in [0, 1]; never less than before */
  fraction: number
  /** seconds to go; undefined where that cannot be told yet */
  left: number | undefined
}

/** How far a run is, from what its phases say one after the other. */
export class CourseOfRun {
  #phase = ''
  readonly #seen = new Set<string>()
  #fraction = 0
  /** of the bar: where the phase began, and how much of it is the phase's */
  #from = 0
  #share = 0
  /** weight of the phase, and of all that may follow */
  #weight = 0
  #later = 0
  #started = 0

  /** @param now in milliseconds */
  update({ phase, done, total }: Progress, now: number): Course {
    if (phase !== this.#phase) this.#begin(phase, now)
    const part = total > 0 ? Math.min(1, done / total) : 0
    this.#fraction = Math.max(this.#fraction, this.#from + this.#share * part)
    return { phase, fraction: this.#fraction, left: this.#left(part, (now - this.#started) / 1000) }
  }

  #begin(phase: string, now: number): void {
    const place = expected.findIndex(([name]) => name === phase)
    const again = this.#seen.has(phase)
    this.#seen.add(phase)
    this.#phase = phase
    this.#started = now
    this.#from = this.#fraction
    const rest = 1 - this.#fraction
    this.#later = 0
    this.#weight = alone.has(phase) ? 1 : place < 0 ? 0 : expected[place][1]
    if (place >= 0)
      for (const [name, weight] of expected.slice(place + 1)) if (!this.#seen.has(name)) this.#later += weight
    // what comes back, or nobody knows, moves the bar a little: nothing says how much there is of it
    this.#share = again || this.#weight === 0 ? rest / 10 : (rest * this.#weight) / (this.#weight + this.#later)
  }

  /** At the speed of this phase, which must have shown it. */
  #left(part: number, seconds: number): number | undefined {
    if (part < 0.01 || seconds < 1 || this.#weight === 0) return undefined
    const whole = seconds / part
    return whole * (1 - part) + (whole * this.#later) / this.#weight
  }
}

const interval = 10_000

/** A bar on a terminal; elsewhere a line when a phase first begins, and every ten seconds. */
export class ProgressReporter {
  readonly #course = new CourseOfRun()
  #bar: SingleBar | undefined
  readonly #told = new Set<string>()
  #last = 0

  /** @param show where lines go */
  constructor(readonly show: (stream: NodeJS.WritableStream, lines: readonly string[]) => void) {}

  update(progress: Progress): void {
    const now = performance.now()
    const course = this.#course.update(progress, now)
    if (process.stderr.isTTY) {
      this.#draw(course, progress)
      return
    }
    if (this.#told.has(progress.phase) && now - this.#last < interval) return
    this.#told.add(progress.phase)
    this.#last = now
    this.show(process.stderr, [`${progress.phase}: ${told(course, progress)}`])
  }

  #draw({ phase, fraction, left }: Course, { done, total, unit }: Progress): void {
    if (!this.#bar) {
      // loaded here, as the way to the first line of --help is short without it
      const { SingleBar } = require('cli-progress') as typeof import('cli-progress')
      this.#bar = new SingleBar({
        format: '{bar} {percentage}% · {duration_formatted} · {what}{left}',
        stream: process.stderr,
        hideCursor: true,
        clearOnComplete: true,
        barCompleteChar: '█',
        barIncompleteChar: '░',
      })
      this.#bar.start(1000, 0, { what: '', left: '' })
    }
    const what = printable(total > 0 ? phase : `${phase} (${done} ${unit})`)
    this.#bar.update(Math.floor(1000 * fraction), { what, left: left === undefined ? '' : ` · ${timeLeft(left)}` })
  }

  stop(): void {
    this.#bar?.stop()
    this.#bar = undefined
  }
}

function told({ fraction, left }: Course, { done, total, unit }: Progress): string {
  const so = total > 0 ? `${Math.floor(100 * fraction)} % of the run` : `${done} ${unit}`
  return left === undefined ? so : `${so}, ${timeLeft(left)}`
}

/** Seconds, rounded as far as they can be known. */
export function timeLeft(seconds: number): string {
  if (seconds < 90) return `about ${Math.ceil(seconds)} s left`
  if (seconds < 5400) return `about ${Math.ceil(seconds / 60)} min left`
  return `about ${(seconds / 3600).toFixed(1)} h left`
}
