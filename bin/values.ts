// Values of options, checked where they are read.
import { InvalidArgumentError } from 'commander'

/** A whole number of at least `least`. */
export const integer =
  (least: number) =>
  (value: string): number => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < least) {
      throw new InvalidArgumentError(`A whole number of at least ${least} is needed.`)
    }
    return number
  }

export function real(value: string): number {
  const number = Number(value)
  if (!/^\s*[-+]?[\d.]+(e[-+]?\d+)?\s*$/i.test(value) || !Number.isFinite(number))
    throw new InvalidArgumentError('A number is needed.')
  return number
}

/** `a,b,c` */
export const list = (value: string): string[] =>
  value
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean)

/** `0.1,0.5` */
export const reals = (value: string): number[] => list(value).map(real)

/** Bytes: 1500000, 512MiB, 2GiB, 1.5GB. */
export function bytes(value: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)?$/i.exec(value.trim())
  if (!match) throw new InvalidArgumentError('A size is needed, such as 512MiB or 2GiB.')
  const unit = (match[2] ?? 'B').toUpperCase()
  return Math.floor(Number(match[1]) * (unit.includes('I') ? 1024 : 1000) ** 'BKMGT'.indexOf(unit[0]))
}

/** Seconds for people: 45 s, 12 min, 3.4 h. */
export function duration(seconds: number): string {
  return seconds < 100
    ? `${Math.ceil(seconds)} s`
    : seconds < 6000
      ? `${Math.ceil(seconds / 60)} min`
      : `${(seconds / 3600).toFixed(1)} h`
}

/** `zeros` or `seed:N` */
export function baseHead(value: string): 'zeros' | { seed: number } {
  const match = /^seed:(\d+)$/.exec(value)
  if (match) return { seed: Number(match[1]) }
  if (value === 'zeros') return 'zeros'
  throw new InvalidArgumentError('zeros or seed:N is needed.')
}
