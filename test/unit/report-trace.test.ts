import { createHash } from 'node:crypto'
import { marked } from '../../lib/report/marked.js'
import { tracePage, type TracePage } from '../../lib/report/trace.js'
import { surfaceOf } from '../../lib/text/tokenizer/index.js'
import type { Member } from '../../lib/trace/index.js'
import { traceResult as result } from '../support/page-results.js'

const members: Member[] = Array.from({ length: 99_970 }, (_, i) => ({
  probability: 1 - i / 1e5,
  domain: 'a',
  source: `pool.jsonl:${i + 1}`,
  row: i,
  text: `text number ${i} <b>`,
}))

const found = (over: Partial<TracePage> = {}): TracePage => ({
  result: result(),
  tokens: [{ id: 4, token: '<img src=x>', state: 'trained', residual: 1, score: 9 }],
  members,
  excluded: [{ domain: 'a', source: 'pool.jsonl:7', text: 'A Zebra & co', tokens: ['zebra'] }],
  histogram: { edges: [0, 1, 2], below: [7, 0], above: [0, 3], threshold: 1.1 },
  files: [{ role: 'base', path: 'b/model.safetensors', size: 9, sha256: 'ab' }],
  ...over,
})

test(
  'a page of a hundred thousand texts holds the first and the last of them, and names the file with ' + 'the rest',
  () => {
    const html = tracePage(found())
    expect(html.length).toBeLessThan(320_000)
    expect(html).toContain('text number 0 ')
    expect(html).toContain('text number 199 ')
    expect(html).not.toContain('text number 200 ')
    expect(html).toContain('text number 99969 ')
    expect(html).toContain('99750 texts between these are in members.csv')
    expect(html).toContain('1 of 30; all of them are in excluded.csv')
  },
)

test('nothing comes from elsewhere and the only script is the one that the policy names', () => {
  const html = tracePage(found())
  const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text]) => text)
  expect(scripts.length).toBe(1)
  expect(html).toContain(`script-src 'sha256-${createHash('sha256').update(scripts[0]).digest('base64')}'`)
  expect(html).not.toMatch(/<link|<img|\bsrc="|\bhref="(?!data:)|url\(|@import|https?:/)
  expect(html).not.toMatch(/NaN|undefined|Infinity|\[object/)
  expect(html).toContain('r&lt;script&gt;')
  expect(html).toContain(
    '<input id="find" type="search" placeholder="search" aria-label="search among the tokens" hidden>',
  )
})

test('the token that excludes a text is marked in it', () => {
  expect(tracePage(found())).toContain('A <mark>Zebra</mark> &amp; co')
  expect(marked('restart the art <of>', ['art', 'of'])).toBe('restart the <mark>art</mark> &lt;<mark>of</mark>&gt;')
  expect(marked('nothing', ['zebra', ''])).toBe('nothing')
})

test('says in one sentence what was found, whatever the verdict', () => {
  expect(tracePage(found())).toMatch(
    /3 of 10 tokens were trained on; 30 of 100000 candidate texts are excluded with certainty/,
  )
  const none = result({
    verdict: 'none',
    reason: 'frozen',
    decay: null,
    texts: null,
    trainingTexts: null,
    mixtures: [],
  })
  const html = tracePage(found({ result: none, tokens: [], members: [], excluded: [], histogram: undefined }))
  expect(html).toContain('tells nothing of the training texts: frozen.')
  expect(html).not.toMatch(/<script>|NaN|undefined/)
  const normal = { mean: 1, deviation: 1 }
  const grading = {
    table: 'embed',
    rows: 'input' as const,
    untrainedRows: { fitted: 9, held: 4 },
    columns: 2,
    untrained: normal,
    trained: normal,
    expected: 12.3,
    times: { early: 4, late: 1, deviation: 0.5 },
    tokens: 40,
    threshold: 2,
    falsePositiveRate: 0.01,
    missedRate: 0.1,
    lost: 'no forward pass',
  }
  const graded = tracePage(found({ result: result({ verdict: 'graded', decay: null, grading }) }))
  expect(graded).toMatch(/About 12 of 40 tokens of these texts look trained on; no text is excluded with certainty/)
})

test('mixtures of other witnesses stand beside the trace, in its order', () => {
  const one = (readout: string, a: number) => ({
    readout,
    description: `${readout} <described>`,
    settings: {},
    mixture: { a, b: 1 - a },
    interval: { a: [a - 0.1, a + 0.1] as [number, number], b: [0.9 - a, 1.1 - a] as [number, number] },
    level: 0.9,
    intervalCovers: 'sampling and method' as const,
    intervalIncludes: 'errors',
    verdict: 'exact' as const,
  })
  const votes = { verdict: 'counted' as const, reason: '70 trained tokens vote', counts: null }
  const mixtures = [one('trace', 0.3), one('votes', 0.45), one('trace+votes', 0.36)]
  const page = tracePage(found({ result: result({ mixtures, votes }) }))
  const table = page.slice(page.indexOf('By other witnesses'), page.indexOf('described&gt;'))
  expect(table.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ')).toMatch(
    /domain votes trace\+votes b 55(\.0)? % 45(\.0)? % to 65(\.0)? % 64(\.0)? % .* a 45(\.0)? % .* 36(\.0)? %/,
  )
  expect(page).toMatch('70 trained tokens vote')
  expect(tracePage(found({ result: result({ mixtures: mixtures.slice(0, 1) }) }))).not.toMatch('By other witnesses')
})

test('tokens read as they stand in a text', () => {
  expect(['##ing', 'Ġword', '▁word', 'Ã©t', 'é', '##', 'plain'].map(surfaceOf)).toEqual([
    'ing',
    'word',
    'word',
    'ét',
    'é',
    '##',
    'plain',
  ])
})
