// How far a run is and how long it has to go, as the bar of the command line tells it.
import fc from 'fast-check'
import { CourseOfRun, timeLeft, type Course } from '../../bin/progress.js'

/** A run whose phases take so many seconds, told every half second. */
function run(phases: [phase: string, seconds: number][]): (Course & { at: number })[] {
  const course = new CourseOfRun()
  const told: (Course & { at: number })[] = []
  let at = 0
  for (const [phase, seconds] of phases) {
    for (let t = 0; t <= seconds; t += 0.5)
      told.push({ at: at + t, ...course.update({ phase, done: t, total: seconds, unit: 's' }, 1000 * (at + t)) })
    at += seconds
  }
  return told
}

test('recover: the bar is about where the time is, and the time left is right once scoring shows its speed', () => {
  const phases: [string, number][] = [
    ...([
      ['read', 2],
      ['tokenize', 1],
      ['survey', 1],
      ['hash', 1],
      ['tables', 1],
      ['tensors', 1],
    ] as [string, number][]),
    ['score', 80],
    ['resample', 2],
  ]
  const told = run(phases)
  const whole = told.at(-1)!.at
  for (const { at, fraction, left, phase } of told.filter((one) => one.phase === 'score' && one.left !== undefined)) {
    expect({ phase, near: Math.abs(fraction - at / whole) < 0.15 }).toEqual({ phase, near: true })
    // gradients may follow, and are counted until they do not
    expect(left! - (whole - at)).toBeLessThan(0.15 * whole)
    expect(left!).toBeGreaterThan(whole - at - 3)
  }
  expect(told.at(-1)!.fraction).toBeCloseTo(1, 9)
})

test('a training is nearly all of its run', () => {
  const told = run([
    ['read', 1],
    ['tokenize', 1],
    ['train', 100],
  ])
  const half = told.find(({ at }) => at === 52)!
  expect(half.fraction).toBeCloseTo(0.5, 1)
  expect(half.left).toBeCloseTo(50, 5)
})

const names = ['read', 'score', 'gradients', 'resample', 'train', 'hash', 'wait for process 3', 'features', 'windows']
const step = fc.record({
  phase: fc.constantFrom(...names),
  done: fc.nat(100),
  total: fc.nat(100),
  seconds: fc.double({ min: 0, max: 50, noNaN: true }),
})

test('whatever phases come, the bar never goes back, stays within its ends and gives no time that is none', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const course = new CourseOfRun()
      let [now, before] = [0, 0]
      for (const { phase, done, total, seconds } of steps) {
        now += 1000 * seconds
        const { fraction, left } = course.update({ phase, done, total, unit: 'x' }, now)
        expect(fraction).toBeGreaterThanOrEqual(before)
        expect(fraction).toBeLessThanOrEqual(1 + 1e-12)
        if (left !== undefined) expect(left >= 0 && Number.isFinite(left)).toBe(true)
        before = fraction
      }
    }),
  )
})

test('nothing is said of the time before a phase has run a second', () => {
  const course = new CourseOfRun()
  expect(course.update({ phase: 'score', done: 0, total: 10, unit: 'x' }, 0).left).toBeUndefined()
  expect(course.update({ phase: 'score', done: 5, total: 10, unit: 'x' }, 900).left).toBeUndefined()
  expect(course.update({ phase: 'score', done: 5, total: 10, unit: 'x' }, 2000).left).toBeGreaterThan(1.9)
})

test('seconds, minutes, hours', () => {
  expect([0.2, 89.5, 600, 7200].map(timeLeft)).toEqual([
    'about 1 s left',
    'about 90 s left',
    'about 10 min left',
    'about 2.0 h left',
  ])
})
