import { join } from 'node:path'
import { Random } from '../../lib/random.js'
import { type ProbeOptions, type ProbeSet, readLabelMap, readProbes } from '../../lib/text/index.js'
import { shareOut } from '../../lib/text/sample.js'
import { all, failure, folder, write } from '../support/probes-files.js'

const labels = ['World', 'Sports', 'Business']
type Row = { text?: string; label?: unknown; domain?: unknown }

let files = 0
function probes(rows: Row[], options: Partial<ProbeOptions & { labels: string[] }> = {}): Promise<ProbeSet> {
  const path = write(
    `set-${files++}.jsonl`,
    rows.map((row, i) => JSON.stringify({ text: `text ${i}`, ...row })).join('\n'),
  )
  return readProbes([path], { labels, ...options })
}
const labelled = (...names: unknown[]): Row[] => names.map((label) => ({ label }))

describe('labels', () => {
  test('by name', async () => {
    const set = await probes(labelled('Business', 'World', 'Sports', 'World'))
    expect([...set.label]).toEqual([2, 0, 1, 0])
    expect(set.domains).toEqual(labels)
    expect([...set.domain]).toEqual([2, 0, 1, 0])
    expect(set.counts).toEqual([2, 1, 1])
    expect([...set.rows]).toEqual([0, 1, 2, 3])
    expect(set.texts).toEqual(['text 0', 'text 1', 'text 2', 'text 3'])
  })

  test('texts that stand in two domains are noted, those of one domain are not', async () => {
    const row = (text: string, label: string): Row => ({ text, label })
    const rows = [row('a', 'World'), row('b', 'Sports'), row('a', 'World'), row('b', 'World'), row('a', 'Business')]
    const { notes } = await probes(rows)
    expect(notes.filter((note) => note.startsWith('texts that'))).toEqual([
      expect.stringMatching(/^texts that stand in more than one domain: 2, the first at .*:2 and .*:4$/),
    ])
    expect((await probes(labelled('World', 'Sports', 'Business'))).notes.join()).not.toContain('texts that stand')
  })

  test('by id, as number or string', async () => {
    expect([...(await probes(labelled(2, '0', 1))).label]).toEqual([2, 0, 1])
  })

  test('a label whose name is a number comes before an id', async () => {
    expect([...(await probes(labelled('1', '0', 'x'), { labels: ['1', 'x', '0'] })).label]).toEqual([0, 2, 1])
  })

  test('through a map to names or ids; names pass beside it', async () => {
    const set = await probes(labelled(1, 'sport', 'Business'), { labelMap: { 1: 'World', sport: '1' } })
    expect([...set.label]).toEqual([0, 1, 2])
  })

  const says = async (promise: Promise<unknown>, code: string, ...words: string[]): Promise<void> => {
    const error = await failure(promise)
    expect(error).toMatchObject({ code, kind: 'input' })
    for (const word of words) expect(`${error.message}\n${error.hint}`).toContain(word)
  }

  test('an unknown label lists the labels and the nearest', () =>
    says(
      probes(labelled('World', 'sprots')),
      'PROBES_LABEL_UNKNOWN',
      '.jsonl:2: ',
      '"sprots"',
      '"World", "Sports", "Business"',
      'did you mean "Sports"?',
    ))

  test('an unknown label with nothing near', () =>
    says(probes(labelled('weather')), 'PROBES_LABEL_UNKNOWN', '--label-map "weather=NAME,…" says which of them'))

  test('an id beyond the labels', () => says(probes(labelled(3)), 'PROBES_LABEL_UNKNOWN', '"3"'))

  test('a number that a map leaves out is not taken for an id', () =>
    says(probes(labelled(1, 2), { labelMap: { 1: 'World' } }), 'PROBES_LABEL_UNKNOWN', 'no entry for "2"'))

  test('a model without label names asks for a map', () =>
    says(
      probes(labelled('World'), { labels: ['LABEL_0', 'LABEL_1'] }),
      'PROBES_LABEL_UNKNOWN',
      '--label-map "World=NAME,…" says which of them',
    ))

  test('a map to a label that the model does not have', () =>
    says(probes(labelled('a'), { labelMap: { a: 'Wrold' } }), 'LABEL_MAP_UNKNOWN', '"Wrold"', 'did you mean "World"?'))

  test('no label', () =>
    says(probes([{ label: 'World' }, { label: null }]), 'PROBES_LABEL_MISSING', '.jsonl:2: ', '--drop-unlabeled'))

  test('no label column at all', async () => {
    await says(probes([{}]), 'PROBES_COLUMN_UNKNOWN', '"label"')
    await says(
      readProbes([write('nolabel.csv', 'text,class\none,World\n')], { labels }),
      'PROBES_COLUMN_UNKNOWN',
      '"text", "class"',
    )
  })

  test('a label column that is asked for, also in a directory of domains', () =>
    says(
      readProbes([join(write('asked/World.csv', 'text,klass\none,World\n'), '..')], { labels, label: 'class' }),
      'PROBES_COLUMN_UNKNOWN',
      'did you mean "klass"?',
    ))

  test.each([-1, '-1'])('%p is no label', (label) =>
    says(probes(labelled('World', label)), 'PROBES_UNLABELED', '.jsonl:2: ', '--drop-unlabeled'),
  )

  test('--drop-unlabeled drops −1, empty and missing labels, and counts them', async () => {
    const set = await probes([{}, ...labelled('World', -1, '-1', '', null, 'Sports', 'Business')], {
      dropUnlabeled: true,
    })
    expect(set.dropped).toBe(5)
    expect([...set.rows]).toEqual([1, 6, 7])
    expect(set.notes).toContain('5 unlabeled texts were dropped (--drop-unlabeled)')
  })

  test('−1 is a label where the map says so', async () => {
    const set = await probes(labelled(-1, 'Sports', 'Business'), { labelMap: { '-1': 'World' }, dropUnlabeled: true })
    expect([...set.label]).toEqual([0, 1, 2])
  })

  test('nothing left after dropping', () =>
    says(probes(labelled(-1), { dropUnlabeled: true }), 'PROBES_ONE_DOMAIN', 'no text is left'))
})

describe('--label-map', () => {
  test('pairs', async () => {
    expect(await readLabelMap('1=World,2=Sports,4=Sci/Tech')).toEqual({ 1: 'World', 2: 'Sports', 4: 'Sci/Tech' })
  })

  test('a JSON file', async () => {
    expect(await readLabelMap(write('map.json', '\ufeff{"1": "World", "a,b=c": 2}'))).toEqual({
      1: 'World',
      'a,b=c': '2',
    })
  })

  test.each(['=World', '1=', '1=a=b', '1=a,1=b', '1=a,'])('"%s" is refused', async (value) => {
    expect(await failure(readLabelMap(value))).toMatchObject({ code: 'LABEL_MAP_INVALID', kind: 'usage' })
  })

  test.each([
    ['{\n"1": }', 'LABEL_MAP_NOT_JSON', { line: 2, column: 6 }],
    ['{"1": "a", "1": "b"}', 'LABEL_MAP_DUPLICATE_KEY', {}],
    [Buffer.from([0x22, 0xff, 0x22]), 'LABEL_MAP_NOT_UTF8', { offset: 1 }],
    ['["World"]', 'LABEL_MAP_INVALID', {}],
    ['{"1": null}', 'LABEL_MAP_INVALID', {}],
    ['{"1": 0.5}', 'LABEL_MAP_INVALID', {}],
  ])('a file with %j is refused: %s', async (content, code, place) => {
    const file = write('bad-map.json', content)
    expect(await failure(readLabelMap(file))).toMatchObject({
      code,
      kind: 'input',
      details: { file, ...place },
    })
  })

  test('a file that is not there', async () => {
    expect(await failure(readLabelMap('nowhere.json'))).toMatchObject({ code: 'LABEL_MAP_UNREADABLE', kind: 'input' })
  })
})

describe('domains', () => {
  test('a domain beside the label is free and sorted by name', async () => {
    const set = await probes([
      { label: 'World', domain: 'zebra' },
      { label: 'Sports', domain: 'ant' },
      { label: 'World', domain: 'ant' },
    ])
    expect(set.domains).toEqual(['ant', 'zebra'])
    expect([...set.domain]).toEqual([1, 0, 0])
    expect([...set.label]).toEqual([0, 1, 0])
    expect(set.counts).toEqual([2, 1])
  })

  test("a domain that always repeats the label keeps the model's order", async () => {
    const set = await probes(labels.toReversed().map((label) => ({ label, domain: label })))
    expect(set.domains).toEqual(labels)
  })

  test('the names of a directory are the labels', async () => {
    for (const [name, count] of [
      ['3', 1],
      ['1', 2],
      ['2', 3],
    ] as const)
      write(`dirs/${name}.txt`, 'a line\n'.repeat(count))
    const set = await readProbes([join(folder, 'dirs')], {
      labels,
      labelMap: { 1: 'World', 2: 'Sports', 3: 'Business' },
    })
    expect(set.domains).toEqual(labels)
    expect(set.counts).toEqual([2, 3, 1])
    expect([...set.label]).toEqual([...set.domain])
  })

  test('the names of a directory are domains where the files have labels', async () => {
    write('topics/a.csv', 'text,label\none,World\n')
    write('topics/b.csv', 'text,label\none,World\n')
    const set = await readProbes([join(folder, 'topics')], { labels })
    expect(set.domains).toEqual(['a', 'b'])
    expect([...set.label]).toEqual([0, 0])
  })

  test('given domains set the order', async () => {
    const set = await probes(
      [
        { label: 'World', domain: 'a' },
        { label: 'World', domain: 'b' },
      ],
      { domains: ['b', 'a'] },
    )
    expect(set.domains).toEqual(['b', 'a'])
    expect([...set.domain]).toEqual([1, 0])
  })

  test('a domain outside the given ones', async () => {
    expect(await failure(probes([{ label: 'World', domain: 'c' }], { domains: ['b', 'a'] }))).toMatchObject({
      code: 'PROBES_DOMAIN_UNKNOWN',
    })
  })

  test('texts with and without a domain do not mix', async () => {
    const rows = [{ label: 'World', domain: 'a' }, { label: 'Sports' }]
    for (const mixed of [rows, rows.toReversed()]) {
      expect(await failure(probes(mixed))).toMatchObject({ code: 'PROBES_DOMAIN_MISSING', details: { line: 2 } })
    }
  })

  test('fewer than two domains', async () => {
    const error = await failure(probes(labelled('World', 'World')))
    expect(error).toMatchObject({ code: 'PROBES_ONE_DOMAIN', details: { expected: 2, found: 1 } })
    expect(error.message).toContain('"World"')
  })

  test('a label without a probe', async () => {
    const error = await failure(probes(labelled('World', 'Business')))
    expect(error).toMatchObject({ code: 'PROBES_DOMAIN_EMPTY' })
    expect(error.message).toContain('"Sports"')
  })

  test('fewer than 30 probes are noted', async () => {
    const set = await probes([
      ...labelled(...Array(30).fill('World')),
      ...labelled(...Array(29).fill('Sports')),
      ...labelled(...Array(40).fill('Business')),
    ])
    expect(set.notes).toEqual(['domain "Sports" has only 29 probes; with fewer than 30 its share is uncertain'])
  })

  test('blank lines of text files are noted', async () => {
    write('blank/World.txt', 'a\n\nb\n')
    write('blank/Sports.txt', 'a\n \nb\n')
    const set = await readProbes([join(folder, 'blank')], { labels: labels.slice(0, 2) })
    expect(set.notes).toContain('2 blank lines of .txt files were skipped')
  })
})

describe('the subsample', () => {
  const many = labelled(
    ...Array.from({ length: 1000 }, (_, i) => (i % 10 < 6 ? 'World' : i % 10 < 9 ? 'Sports' : 'Business')),
  )

  test('--per-domain takes of each domain the rows with the smallest hashes, in their order', async () => {
    const set = await probes(many, { perDomain: 50, seed: 3 })
    const random = new Random(3, 'probes')
    const chosen = labels.flatMap((label) =>
      many
        .map((row, i) => ({ row, i, hash: random.uniformAt(i) }))
        .filter(({ row }) => row.label === label)
        .sort((a, b) => a.hash - b.hash)
        .slice(0, 50)
        .map(({ i }) => i),
    )
    expect([...set.rows]).toEqual(chosen.sort((a, b) => a - b))
    expect(set.texts[7]).toBe(`text ${set.rows[7]}`)
    expect(set.counts).toEqual([50, 50, 50])
    expect(set.notes).toEqual(['150 of 1000 texts were chosen at random (seed 3)'])
  })

  test('--limit shares out in proportion', async () => {
    const set = await probes(many, { limit: 500 })
    expect(set.counts).toEqual([300, 150, 50])
  })

  test('a larger sample of a seed holds the smaller; another seed differs', async () => {
    const rows = async (perDomain: number, seed: number): Promise<Set<number>> =>
      new Set((await probes(many, { perDomain, seed })).rows)
    const [small, large, other] = [await rows(40, 1), await rows(60, 1), await rows(40, 2)]
    for (const row of small) expect(large.has(row)).toBe(true)
    expect([...other].filter((row) => small.has(row)).length).toBeLessThan(100)
  })

  test('dropped rows keep their numbers, so the choice among the others stays', async () => {
    const holed = many.map((row, i) => (i % 97 === 0 ? { label: -1 } : row))
    const kept = new Set((await probes(many, { perDomain: 50 })).rows)
    const again = new Set((await probes(holed, { perDomain: 50, dropUnlabeled: true })).rows)
    for (const row of kept) if (row % 97 !== 0) expect(again.has(row)).toBe(true)
  })

  test('every row is equally likely', async () => {
    // Each of 400 seeds keeps 50 of the 500 rows of one domain: a row is kept Binomial(400, 0.1) times, mean 40, sd 6;
    // that one of 500 is off by 6 sd has a probability near 1e-6.
    const kept = new Float64Array(500)
    const records = many.slice(0, 500)
    const path = write(
      'likely.jsonl',
      records.map((row) => JSON.stringify({ text: 'x', domain: 'd', ...row })).join('\n'),
    )
    for (let seed = 0; seed < 400; seed++) {
      for (const { row } of await all([path], { limit: 50, seed })) kept[row]++
    }
    for (const count of kept) expect(Math.abs(count - 40)).toBeLessThan(36)
  })

  test('a domain with fewer texts than asked for is noted', async () => {
    const set = await probes(many, { perDomain: 150 })
    expect(set.counts).toEqual([150, 150, 100])
    expect(set.notes).toContain('domain "Business" has 100 texts, fewer than the 150 asked for')
  })

  test('a limit that leaves a domain without probes is refused', async () => {
    const error = await failure(probes(many, { limit: 3 }))
    expect(error).toMatchObject({ code: 'PROBES_DOMAIN_EMPTY' })
    expect(`${error.message} ${error.hint}`).toMatch(
      /--limit 3 leaves no probe of "Business", which has 100.*--per-domain/,
    )
  })

  test('a limit above what there is takes all', async () => {
    expect((await probes(many, { limit: 5000 })).counts).toEqual([600, 300, 100])
  })

  test('readRecords samples within domains, too', async () => {
    const path = write('sampled.jsonl', many.map((row) => JSON.stringify({ text: 'x', ...row })).join('\n'))
    const records = await all([path], { perDomain: 5 })
    expect(records.length).toBe(15)
    expect(records.map(({ row }) => row)).toEqual(records.map(({ row }) => row).toSorted((a, b) => a - b))
  })

  test.each([
    [10, [5, 3, 2], [5, 3, 2]],
    [7, [1, 1, 1], [1, 1, 1]],
    [5, [5, 3, 2], [3, 1, 1]],
    [4, [3, 3, 3], [2, 1, 1]],
    [2, [2 ** 52, 2 ** 52], [1, 1]],
    [3, [0, 7], [0, 3]],
  ])('shareOut(%i, %j)', (total, sizes, shares) => expect(shareOut(total, sizes)).toEqual(shares))
})
