import type { Calibrated } from '../../lib/trace/calibrate.js'
import { unbounded } from '../../lib/trace/hidden.js'

const calibrated = (over: Partial<Calibrated> = {}): Calibrated => ({
  estimator: { strength: 0.15, inside: true },
  mixture: Float64Array.of(0.5, 0.5, 0),
  interval: [
    [0.47, 0.53],
    [0.47, 0.53],
    [0, 0.02],
  ],
  texts: 300,
  textsInterval: [280, 320],
  inside: 100,
  insideInterval: [90, 110],
  expectedError: 0.012,
  sets: 60,
  size: 1,
  short: false,
  blurred: false,
  ...over,
})

test('texts that do not show widen the shares as a sample of all of them does, and nothing bounds their number', () => {
  const { interval, textsInterval, insideInterval, expectedError, mixture } = unbounded(calibrated(), 2000)
  // the trials' own distance, and 1.64 deviations of 7 %
  expect(textsInterval[0]).toBeCloseTo(300 * Math.exp(-Math.hypot(Math.log(300 / 280), 1.6448536 * 0.07)), 10)
  expect(textsInterval[1]).toBeNull()
  expect(insideInterval).toEqual([0, 2000])
  expect([...mixture]).toEqual([0.5, 0.5, 0])
  // half of p (1 − p) / 300, and the trials' own half of .03
  const half = Math.sqrt(0.03 ** 2 + (1.6448536 ** 2 * 0.5 * 0.25) / 300)
  expect(interval[0][0]).toBeCloseTo(0.5 - half, 10)
  expect(interval[1][1]).toBeCloseTo(0.5 + half, 10)
  expect(interval[2][0]).toBe(0)
  expect(interval[2][1]).toBeGreaterThan(0.02)
  expect(expectedError).toBeGreaterThan(0.012)
})

test('intervals that say nothing stay so', () => {
  const all: [number, number][] = [
    [0, 1],
    [0, 1],
    [0, 1],
  ]
  const { interval } = unbounded(calibrated({ interval: all, short: true, mixture: Float64Array.of(0.4, 0.3, 0.3) }), 5)
  expect(interval).toEqual(all)
})

test('the interval holds a share of the whole as often as it says, where half of the texts show', () => {
  // a sample of 150 of 300 texts of two domains, nothing else unsure: the hypergeometric distribution, exactly
  const [whole, seen, members] = [300, 150, 120]
  const log = (n: number): number => Array.from({ length: n }, (_, i) => Math.log(i + 1)).reduce((a, b) => a + b, 0)
  const choose = (n: number, k: number): number => log(n) - log(k) - log(n - k)
  let covered = 0
  for (let k = 0; k <= members; k++) {
    if (seen - k > whole - members) continue
    const chance = Math.exp(choose(members, k) + choose(whole - members, seen - k) - choose(whole, seen))
    const share = k / seen
    const found = unbounded(
      calibrated({
        mixture: Float64Array.of(share, 1 - share),
        interval: [
          [share, share],
          [1 - share, 1 - share],
        ],
        texts: seen,
      }),
      0,
    )
    const [low, high] = found.interval[0]
    if (members / whole >= low && members / whole <= high) covered += chance
  }
  // counts are whole numbers: one more or less at each end is a hundredth or two
  expect(Math.abs(covered - 0.9)).toBeLessThan(0.025)
})
