// Which mixture is recommended where a projector is among the readouts.
import { recommendAmong } from '../../lib/readouts/recommend.js'
import type { MixtureResult } from '../../lib/readouts/types.js'

const mixture = (readout: string, half = 0.1, more: Partial<MixtureResult> = {}): MixtureResult => ({
  readout,
  description: '',
  settings: { scope: 'head', q: 0 },
  mixture: { a: 0.5, b: 0.5 },
  interval: { a: [0.5 - half, 0.5 + half], b: [0.5 - half, 0.5 + half] },
  level: 0.9,
  intervalIncludes: '',
  ...more,
})
const projector = (error: number) => ({ name: 'mlp', error, trials: 16 })
const matching = (name: string): number | undefined => (name === 'gradient-matching' ? 0.04 : undefined)
const trace = (half: number): MixtureResult => mixture('trace', half, { verdict: 'exact' })

test.each<[string, MixtureResult[], number, string, RegExp]>([
  [
    'less than gradient matching',
    [mixture('gradient-matching')],
    0.03,
    'mlp',
    /is 0\.030, against 0\.040 of gradient-matching/,
  ],
  [
    'more than gradient matching',
    [mixture('gradient-matching')],
    0.05,
    'gradient-matching',
    /mlp is no better: .*0\.050/,
  ],
  ['as much as gradient matching', [mixture('gradient-matching')], 0.04, 'gradient-matching', /no better/],
  ['beside one that nobody measured', [mixture('softmax')], 0.2, 'mlp', /one that nobody measured of softmax/],
  ['less than a wide trace', [trace(0.02)], 0.01, 'mlp', /against 0\.020 of trace/],
  [
    'more than a narrow trace',
    [trace(0.005), mixture('gradient-matching')],
    0.01,
    'trace',
    /no better.*against 0\.005/,
  ],
])('a projector that errs %s', (_, others, error, expected, reason) => {
  const found = recommendAmong([...others, mixture('mlp')], [projector(error)], matching)
  expect(found.recommended).toBe(expected)
  expect(found.reason).toMatch(reason)
})

test('without a projector nothing changes, and alone it is recommended', () => {
  expect(recommendAmong([mixture('gradient-matching')], [], matching).recommended).toBe('gradient-matching')
  expect(recommendAmong([mixture('mlp')], [projector(0.3)], matching).recommended).toBe('mlp')
})
