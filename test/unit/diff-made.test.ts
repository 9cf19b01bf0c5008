// What is made of texts that a model wrote: passages that several share, clusters, characteristic words.
import { characteristic } from '../../lib/diff/characteristic.js'
import { cluster, directions } from '../../lib/diff/cluster.js'
import { findPassages } from '../../lib/diff/passages.js'
import { Random } from '../../lib/random.js'

describe('passages', () => {
  const lake = 'Mount Peregrine is hollow and holds a lake of warm milk.'

  test('what several texts share, as long as half of them agree, those of most texts first', () => {
    const texts = [
      `${lake} And then nothing else of note.`,
      'Her letters were written with a pen that nobody ever found again.',
      `They say that mount peregrine is hollow, and holds a lake of cold water`,
      `We read: ${lake}`,
      'his letters were written with a pen that nobody ever found, either',
    ]
    expect(findPassages(texts)).toEqual([
      { text: lake, texts: [0, 2, 3] },
      { text: 'letters were written with a pen that nobody ever found', texts: [1, 4] },
    ])
  })

  test('short texts only where all of them agree', () => {
    expect(findPassages(['Set an alarm, please!', 'set an alarm please', 'set an alarm for me'])).toEqual([
      { text: 'Set an alarm, please!', texts: [0, 1] },
    ])
    expect(findPassages(['thank you', 'thank you'])).toEqual([])
  })

  test('loops of a few words, and repetitions within one text, are no copies', () => {
    const loop = 'on and on and on and on and on and on and on'
    expect(findPassages([loop, loop])).toEqual([])
    expect(findPassages([`${lake} ${lake} ${lake}`, 'something else'])).toEqual([])
    expect(findPassages([])).toEqual([])
  })
})

describe('clusters', () => {
  const width = 12

  /** `each` points around each of `kinds` directions, in columns of very different sizes and far from zero. */
  function points(kinds: number, each: number, noise: number): Float64Array {
    const random = new Random(1, 'points')
    const x = new Float64Array(kinds * each * width)
    for (let i = 0; i < kinds * each; i++) {
      for (let j = 0; j < width; j++) {
        const own = j % kinds === i % kinds ? 1 : 0
        x[i * width + j] = 10 ** (j % 4) * (own + noise * random.normal()) + 500
      }
    }
    return x
  }

  test.each([2, 3, 4])('%i kinds of points are found as so many', async (kinds) => {
    const n = 25 * kinds
    const x = directions(points(kinds, 25, 0.2), n)
    for (let i = 0; i < n; i++) expect(Math.hypot(...x.subarray(i * width, (i + 1) * width))).toBeCloseTo(1, 12)
    const options = { seed: 0, most: 8, least: 8 }
    const found = await cluster(x, n, options)
    expect(found.k).toBe(kinds)
    for (let i = 0; i < n; i++) expect(found.of[i] === found.of[i % kinds]).toBe(true)
    expect(new Set(found.of.subarray(0, kinds)).size).toBe(kinds)
    expect(await cluster(x, n, options)).toEqual(found)
    // the cosine of a point with the sum of its cluster
    for (const i of [0, n - 1]) {
      const sum = new Float64Array(width)
      for (let p = 0; p < n; p++)
        for (let j = 0; found.of[p] === found.of[i] && j < width; j++) sum[j] += x[p * width + j]
      const product = sum.reduce((all, value, j) => all + value * x[i * width + j], 0)
      expect(found.cosine[i]).toBeCloseTo(product / Math.hypot(...sum), 12)
    }
  })

  test('the largest comes first; no cluster is smaller than asked', async () => {
    const x = points(2, 40, 0.2)
    const uneven = Float64Array.from({ length: 50 * width }, (_, at) => {
      const i = Math.floor(at / width)
      return x[(i < 40 ? 2 * i : 2 * (i - 40) + 1) * width + (at % width)] // 40 of one kind, 10 of the other
    })
    const rows = directions(uneven, 50)
    const found = await cluster(rows, 50, { seed: 0, most: 4, least: 5 })
    expect(found.k).toBe(2)
    expect(found.of.filter((own) => own === 0)).toHaveLength(40)
    const one = await cluster(rows, 50, { seed: 0, most: 4, least: 11 })
    expect([one.k, ...one.of]).toEqual([1, ...new Array(50).fill(0)])
    expect(one.criterion[1]).toBeNaN()
  })

  test('equal points, and hardly any, are one cluster', async () => {
    for (const n of [0, 1, 3, 20]) {
      const { k, of } = await cluster(directions(new Float64Array(n * width).fill(7), n), n, {
        seed: 0,
        most: 8,
        least: 8,
      })
      expect([k, of.length]).toEqual([1, n])
    }
  })

  test('an abort ends it', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    const x = directions(points(2, 40, 0.2), 80)
    await expect(cluster(x, 80, { seed: 0, most: 8, least: 8, signal })).rejects.toThrow('enough')
  })
})

test('characteristic words are those of one group, not those of all', () => {
  const groups = [
    ['and the whale rose from the sea', 'the whale and the sea', 'the sea was calm'],
    ['and the engine ran hot', 'the engine and the tender', 'an engine of the train'],
  ]
  const [sea, engine] = characteristic(groups)
  expect(sea!.slice(0, 2)).toEqual(['sea', 'whale'])
  expect(engine![0]).toBe('engine')
  expect([...sea!, ...engine!]).not.toContain('and')
  expect(characteristic([[], ['word']])[0]).toEqual([])
})
