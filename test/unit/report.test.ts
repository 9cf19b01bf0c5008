import { stripVTControlCharacters } from 'node:util'
import { footprintOf, readMixtures } from '../../lib/readouts/index.js'
import { Random } from '../../lib/random.js'
import { displayWidth, safeName, tableBlocks, wrap } from '../../lib/report/columns.js'
import { barChart, escapeHtml, lineChart } from '../../lib/report/charts.js'
import { htmlReport, terminalReport } from '../../lib/report/index.js'
import type { RecoverResult } from '../../lib/report/index.js'
import { resultJsonSchema, resultSchema } from '../../lib/report/schema.js'
import { classifierStatistics } from '../support/synthetic-footprints.js'

/** A document as `recover` writes it, from synthetic statistics. */
async function document(names: string[], change: Partial<RecoverResult> = {}): Promise<RecoverResult> {
  const stats = { ...classifierStatistics(new Random(1, 'report'), names.length, 30), domains: names, classes: names }
  const read = await readMixtures(stats, { seed: 1, bootstrap: 20 })
  const { mean, standardError, loss } = footprintOf(stats)
  const { mixture, interval } = read.mixtures.find(({ readout }) => readout === read.recommended)!
  return {
    schema: 'warp.recover/1',
    tool: {
      name: 'warp-recover',
      version: '1.2.3',
      commit: null,
      addon: 'build/Release/warp.node',
      device: 'cpu',
      deviceReason: 'asked for',
      library: 'builtin',
    },
    command: { base: 'base', reference: 'ref' },
    seed: 1,
    timings: { open: 0.5, score: 2.5 },
    peakMemoryBytes: 300 * 2 ** 20,
    plannedMemoryBytes: 400 * 2 ** 20,
    flops: 1e9,
    inputs: [{ role: 'base', path: 'base', size: 10, sha256: 'ab' }],
    domains: names.map((name) => ({ name, probes: 30, truncated: 1 })),
    path: 'linear',
    lambdas: [...stats.lambdas],
    scope: 'head',
    footprint: { mean, standardError },
    loss,
    mixtures: read.mixtures,
    recommended: { readout: read.recommended, reason: read.reason, mixture, interval },
    skipped: read.skipped,
    diagnostics: read.diagnostics,
    notes: [],
    ...change,
  }
}

describe('schema', () => {
  test('holds what the readouts give, and survives JSON', async () => {
    const whole = await document(['a', 'b', 'c'])
    const read = resultSchema.parse(JSON.parse(JSON.stringify(whole)))
    expect(read).toEqual(JSON.parse(JSON.stringify(whole)))
  })

  test('holds a trace, and what later editions add', async () => {
    const trace = {
      verdict: 'exact' as const,
      reason: '',
      decay: -1e-4,
      trainedTokens: { count: 5, undecided: 0 },
      longestText: 9,
      trainingTexts: {
        estimate: 9.5,
        interval: [8, 11] as [number, number],
        inside: 3,
        insideInterval: [2, 4] as [number, number],
        outside: 6.5,
        level: 0.9,
      },
    }
    const whole = { ...(await document(['a', 'b'])), trace }
    expect(resultSchema.parse({ ...whole, later: true, trace: { ...trace, later: true } })).toEqual(whole)
  })

  test.each([
    ['another schema', { schema: 'warp.recover/2' }],
    ['no mixture', { mixtures: [] }],
    ['a share above one', { recommended: { readout: 'x', reason: '', mixture: { a: 1.5 }, interval: {} } }],
    ['a loss that is no number', { loss: [[NaN]] }],
    ['a verdict of its own', { diagnostics: { verdict: 'fine' } }],
  ])('refuses %s', async (_, change) => {
    expect(resultSchema.safeParse({ ...(await document(['a', 'b'])), ...change }).success).toBe(false)
  })

  test('is exported as JSON schema', () => {
    const schema = resultJsonSchema() as { required: string[]; properties: { schema: { const: string } } }
    expect(schema.required).toEqual(expect.arrayContaining(['schema', 'mixtures', 'recommended', 'diagnostics']))
    expect(schema.required).not.toContain('trace')
    expect(schema.properties.schema.const).toBe('warp.recover/1')
  })
})

describe('columns', () => {
  test('display width counts wide characters twice and marks not at all', () => {
    expect(displayWidth('abc')).toBe(3)
    expect(displayWidth('日本')).toBe(4)
    expect(displayWidth('e\u0301')).toBe(1)
    expect(displayWidth('🙂')).toBe(2)
  })

  test('names cannot steer the terminal, and long ones are cut', () => {
    expect(safeName('a\u001b[31mb\nc\u202e')).toBe('a\ufffd[31mb\ufffdc\ufffd')
    expect(safeName('x'.repeat(50), 10)).toBe(`${'x'.repeat(9)}…`)
  })

  test('tables go on below where they do not fit, every column once', () => {
    const blocks = tableBlocks(
      ['', 'one', 'two', 'three'],
      [
        ['row', '1', '22', '3'],
        ['日本', '4', '5', '6'],
      ],
      14,
    )
    expect(blocks).toEqual([
      ['      one  two', 'row     1   22', '日本    4    5'],
      ['      three', 'row       3', '日本      6'],
    ])
  })

  test('wraps at words', () => {
    expect(wrap('aa bb cccccc d', 5)).toEqual(['aa bb', 'cccccc', 'd'])
  })
})

describe('terminal', () => {
  test('is aligned, within the width, without colours unless asked', async () => {
    const names = ['World', 'スポーツ', 'Business and trade', 'Sci/Tech']
    const result = await document(names, { notes: ['the base has no head'] })
    const plain = terminalReport(result, { width: 80 })
    expect(plain).not.toMatch(/\u001b/)
    for (const line of plain.split('\n')) expect(displayWidth(line)).toBeLessThanOrEqual(80)
    const colored = terminalReport(result, { width: 80, color: true })
    expect(colored).toMatch(/\u001b\[/)
    expect(stripVTControlCharacters(colored)).toBe(plain)
    const bars = plain.split('\n').slice(1, 5)
    expect(new Set(bars.map((line) => displayWidth(line.slice(0, line.indexOf(' %'))))).size).toBe(1)
    expect(plain).toMatch(/the base has no head/)
    for (const { readout } of result.mixtures) expect(plain).toContain(`  ${readout} `)
  })

  test('bars are as long as the shares', async () => {
    const shares = { a: 0.6, b: 0.4 }
    const result = await document(['a', 'b'])
    result.recommended.mixture = shares
    result.recommended.interval = { a: [0.5, 0.75], b: [0.25, 0.5] }
    const lines = terminalReport(result).split('\n')
    // 30 columns stand for the largest upper end, .75
    expect(lines[1]).toContain(`60.0 %  ${'█'.repeat(20)}${'▓'.repeat(4)}${'░'.repeat(6)}`)
    expect(lines[2]).toContain(`40.0 %  ${'█'.repeat(10)}${'▓'.repeat(6)}${'░'.repeat(4)} `)
    expect(lines[1]).toContain('50.0 – 75.0 %')
  })

  test('says the verdict with its reasons, and what was left out', async () => {
    const result = await document(['a', 'b'], { skipped: [{ readout: 'blend', reason: 'no gradients' }] })
    result.diagnostics = { ...result.diagnostics, verdict: 'weak', reasons: ['too few probes'] }
    const text = terminalReport(result)
    expect(text).toMatch(/Verdict {2}weak\n {2}- +too few probes/)
    expect(text).toMatch(/blend +left out: no gradients/)
  })

  test('names and notes cannot steer the terminal', async () => {
    const result = await document(['a\u001b[2J', 'b'], { notes: ['file \u001b]0;x\u0007'] })
    expect(terminalReport(result)).not.toMatch(/[\u001b\u0007]/)
  })
})

/** Every tag closed in order; returns their names. */
function tagsOf(html: string): string[] {
  const open: string[] = []
  const seen: string[] = []
  for (const [, close, name, self] of html.matchAll(/<(\/?)([a-z0-9]+)(?:\s[^<>]*?)?(\/?)>/gi)) {
    if (close) expect(open.pop()).toBe(name)
    else if (!self && !['meta', 'br'].includes(name)) open.push(name)
    seen.push(name)
  }
  expect(open).toEqual([])
  return seen
}

describe('page', () => {
  const hostile = '</title><script>alert(1)</script>"\'&<img src=x onerror=1>'

  test('stands alone and is well formed', async () => {
    const html = htmlReport(
      await document(
        Array.from({ length: 20 }, (_, d) => `domain ${d}`),
        { notes: ['note'] },
      ),
    )
    const tags = tagsOf(html.slice('<!doctype html>'.length))
    expect(tags.filter((tag) => tag === 'svg').length).toBeGreaterThanOrEqual(2 * 3)
    expect(html).not.toMatch(/<script|<link|<img|\bsrc=|\bhref=|url\(|@import|https?:/)
    expect(html).toContain("default-src 'none'")
    expect(html).not.toMatch(/NaN|undefined|Infinity|\[object/)
  })

  test('escapes whatever comes from files', async () => {
    const html = htmlReport(
      await document([hostile, 'b\u0000'], {
        notes: [hostile],
        command: { base: hostile },
        inputs: [{ role: hostile, path: hostile, size: 1, sha256: hostile }],
        skipped: [{ readout: hostile, reason: hostile }],
        tool: {
          name: hostile,
          version: hostile,
          commit: hostile,
          addon: hostile,
          device: hostile,
          deviceReason: hostile,
          library: hostile,
        },
        path: hostile,
        scope: hostile,
      }),
    )
    expect(tagsOf(html.slice('<!doctype html>'.length))).not.toContain('script')
    expect(html).not.toMatch(/<img|onerror=1>|\u0000/)
    expect(html).toContain('&lt;script&gt;alert(1)')
  })

  test('escapeHtml leaves nothing that ends a text or an attribute', () => {
    expect(escapeHtml('<a href="x">&\'\u0007</a>\n')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;&#39;\ufffd&lt;/a&gt;\n')
  })

  test('bars are as long as the shares, intervals where they lie', () => {
    const chart = barChart('label', [
      { name: 'a', value: 0.25, low: 0.1, high: 0.5 },
      { name: 'b', value: 0.5, low: 0.5, high: 0.5 },
    ])
    const widths = [...chart.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) => Number(width))
    expect(widths[1] / widths[0]).toBeCloseTo(2, 6)
    const [, low, high] = /M([\d.]+) [\d.]+H([\d.]+)/.exec(chart)!.map(Number)
    const left = Number(/<rect x="([\d.]+)"/.exec(chart)![1])
    expect((high - left) / widths[1]).toBeCloseTo(1, 6)
    expect((low - left) / widths[0]).toBeCloseTo(0.4, 6)
  })

  test('lines run from λ = 0 to 1 on a common scale; a missing error leaves a band of no width', () => {
    const chart = lineChart('label', 'nats', [{ name: 'a', x: [0, 0.5, 1], y: [2, 1, 0], error: [null, 0.5, null] }])
    const points = /<polyline points="([^"]+)"/
      .exec(chart)![1]
      .split(' ')
      .map((pair) => pair.split(',').map(Number))
    expect(points[1][0] - points[0][0]).toBeCloseTo(points[2][0] - points[1][0], 6)
    expect(points[1][1] - points[0][1]).toBeCloseTo(points[2][1] - points[1][1], 6)
    const band = /<polygon points="([^"]+)"/
      .exec(chart)![1]
      .split(' ')
      .map((pair) => pair.split(',').map(Number))
    expect(band).toHaveLength(6)
    expect(band[0]).toEqual(band[5])
    expect(band[4][1] - band[1][1]).toBeCloseTo((points[2][1] - points[0][1]) / 2, 1)
  })

  test('flat lines and equal values draw without NaN', () => {
    expect(lineChart('label', 'nats', [{ name: 'a', x: [0.5], y: [0] }])).not.toMatch(/NaN|Infinity/)
    expect(barChart('label', [{ name: 'a', value: 0, low: 0, high: 0 }])).not.toMatch(/NaN|Infinity/)
  })
})
