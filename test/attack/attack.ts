import type { Random } from '../../lib/random.js'

/** One way to attack. A step is one try, decided by its random numbers but for what the clock does. */
export interface Attack {
  name: string
  /** of the time */
  share: number
  /** why it cannot run here; null: it can */
  skip?(): string | null
  /** @returns what went wrong, undefined when all is well */
  step(random: Random): Promise<string | undefined>
  close?(): Promise<void>
}

export const below = (random: Random, n: number): number => Math.floor(random.uniform() * n)
export const one = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]
