import { stripVTControlCharacters } from 'node:util'
import { displayWidth, safeName, tableBlocks, wrap } from '../../lib/report/columns.js'
import { barChart } from '../../lib/report/bars.js'
import { lineChart } from '../../lib/report/charts.js'
import { escapeHtml } from '../../lib/report/escape.js'
import { percent, settingsText } from '../../lib/report/facts.js'
import { htmlReport, terminalReport } from '../../lib/report/index.js'
import { resultSchema } from '../../lib/report/schema.js'
import { jsonSchemas } from '../../lib/schemas/index.js'
import { recovered } from '../support/page-results.js'

test('settings of a readout are told to three digits, counts in full', () => {
  const settings = { scope: 'upper', lambda: 0.05, noise: 0.5845578974761545, coordinates: 2400123, blocks: 4 }
  expect(settingsText(settings)).toBe('scope upper, lambda 0.05, noise 0.585, coordinates 2400123, blocks 4')
})

describe('schema', () => {
  test('holds what the readouts give, and survives JSON', async () => {
    const whole = await recovered(['a', 'b', 'c'])
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
    const whole = { ...(await recovered(['a', 'b'])), trace }
    expect(resultSchema.parse({ ...whole, later: true, trace: { ...trace, later: true } })).toEqual(whole)
  })

  test.each([
    ['another schema', { schema: 'warp.recover/2' }],
    ['no mixture', { mixtures: [] }],
    ['a share above one', { recommended: { readout: 'x', reason: '', mixture: { a: 1.5 }, interval: {} } }],
    ['a loss that is no number', { loss: [[NaN]] }],
    ['a verdict of its own', { diagnostics: { verdict: 'fine' } }],
  ])('refuses %s', async (_, change) => {
    expect(resultSchema.safeParse({ ...(await recovered(['a', 'b'])), ...change }).success).toBe(false)
  })

  test('is exported as JSON schema', () => {
    const schema = jsonSchemas()['warp.recover/1'] as { required: string[]; properties: { schema: { const: string } } }
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
    const result = await recovered(names, { notes: ['the base has no head'] })
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
    const result = await recovered(['a', 'b'])
    result.recommended.mixture = shares
    result.recommended.interval = { a: [0.5, 0.75], b: [0.25, 0.5] }
    const lines = terminalReport(result).split('\n')
    // 30 columns stand for the largest upper end, .75
    expect(lines[1]).toContain(`60.0 %  ${'█'.repeat(20)}${'▓'.repeat(4)}${'░'.repeat(6)}`)
    expect(lines[2]).toContain(`40.0 %  ${'█'.repeat(10)}${'▓'.repeat(6)}${'░'.repeat(4)} `)
    expect(lines[1]).toContain('50.0 – 75.0 %')
  })

  test('an interval of sampling alone stands in brackets and is called so; one that covers more does not', async () => {
    const result = await recovered(['a', 'b'])
    const best = result.mixtures.find(({ readout }) => readout === result.recommended.readout)!
    result.recommended.interval = { a: [0.5, 0.75], b: [0.25, 0.5] }
    for (const [covers, shown] of [
      ['sampling', '(50.0 – 75.0 %)'],
      ['sampling and method', ' 50.0 – 75.0 %'],
    ] as const) {
      best.intervalCovers = covers
      const text = terminalReport(result)
      expect(text).toContain(shown)
      expect(text.includes('of sampling alone, hence in brackets')).toBe(covers === 'sampling')
      for (const line of terminalReport(result, { width: 60 }).split('\n'))
        expect(displayWidth(line)).toBeLessThanOrEqual(60)
    }
  })

  test('says the verdict with its reasons, and what was left out', async () => {
    const result = await recovered(['a', 'b'], { skipped: [{ readout: 'blend', reason: 'no gradients' }] })
    result.diagnostics = { ...result.diagnostics, verdict: 'weak', reasons: ['too few probes'] }
    const text = terminalReport(result)
    expect(text).toMatch(/Verdict {2}weak\n {2}- +too few probes/)
    expect(text).toMatch(/blend +left out: no gradients/)
  })

  test('names and notes cannot steer the terminal', async () => {
    const result = await recovered(['a\u001b[2J', 'b'], { notes: ['file \u001b]0;x\u0007'] })
    expect(terminalReport(result)).not.toMatch(/[\u001b\u0007]/)
  })
})

/** Every tag closed in order; returns their names. */
function tagsOf(html: string): string[] {
  const open: string[] = []
  const seen: string[] = []
  for (const [, close, name, self] of html.matchAll(/<(\/?)([a-z0-9]+)(?:\s[^<>]*?)?(\/?)>/gi)) {
    if (close) expect(open.pop()).toBe(name)
    else if (!self && !['meta', 'br', 'wbr'].includes(name)) open.push(name)
    seen.push(name)
  }
  expect(open).toEqual([])
  return seen
}

describe('page', () => {
  const hostile = '</title><script>alert(1)</script>"\'&<img src=x onerror=1>'

  test('stands alone and is well formed', async () => {
    const html = htmlReport(
      await recovered(
        Array.from({ length: 20 }, (_, d) => `domain ${d}`),
        { notes: ['note'] },
      ),
    )
    const tags = tagsOf(html.slice('<!doctype html>'.length))
    expect(tags.filter((tag) => tag === 'svg').length).toBeGreaterThanOrEqual(2 * 3)
    expect(html).not.toMatch(/<script|<link|<img|\bsrc=|\bhref="(?!data:)|url\(|@import|https?:/)
    expect(html).toContain("default-src 'none'")
    expect(html).not.toMatch(/NaN|undefined|Infinity|\[object/)
  })

  test('escapes whatever comes from files', async () => {
    const html = htmlReport(
      await recovered([hostile, 'b\u0000'], {
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
    expect(escapeHtml('a\u202eb\u2066c')).toBe('a\ufffdb\ufffdc')
    expect(escapeHtml('<a href="x">&\'\u0007</a>\n')).toBe('&lt;a href=&quot;x&quot;&gt;&amp;&#39;\ufffd&lt;/a&gt;\n')
  })

  const options = { caption: 'shares', head: ['name', 'share', 'interval'], format: percent, file: 'x.csv' } as const

  test('bars are as long as the shares, intervals where they lie', () => {
    const chart = barChart(
      [
        { name: 'a', value: 0.25, low: 0.1, high: 0.5 },
        { name: 'b', value: 0.5, low: 0.5, high: 0.5 },
      ],
      options,
    )
    const widths = [...chart.matchAll(/<rect [^>]*width="([\d.]+)%"/g)].map(([, width]) => Number(width))
    expect(widths[1] / widths[0]).toBeCloseTo(2, 6)
    const [, low, high] = /class="interval all" x1="([\d.]+)%" x2="([\d.]+)%"/.exec(chart)!.map(Number)
    expect(high / widths[1]).toBeCloseTo(1, 6)
    expect(low / widths[0]).toBeCloseTo(0.4, 6)
    expect(chart).toContain('aria-label="a: 25.0 %, 10.0 % to 50.0 %"')
  })

  test('an interval of sampling alone is dashed, has no ends and is called so', () => {
    const bars = [{ name: 'a', value: 0.25, low: 0.1, high: 0.5 }]
    const [all, sampling] = [barChart(bars, options), barChart(bars, { ...options, covers: 'sampling' })]
    expect(sampling).toContain('class="interval sampling"')
    expect(sampling).toContain('10.0 % to 50.0 % by sampling alone')
    expect(sampling).toContain('an interval of sampling alone')
    expect(all).not.toContain('sampling')
    expect(all.match(/<line class="interval"/g)).toHaveLength(2)
    expect(sampling).not.toMatch(/<line class="interval"/)
  })

  test('of many domains the largest twelve stand at once, the rest is folded with its sum', () => {
    const bars = Array.from({ length: 150 }, (_, i) => ({ name: `domain ${i}`, value: i / 11175 }))
    const chart = barChart(bars, { ...options, many: 'domains' })
    expect(chart.match(/<tr><th scope="row">/g)).toHaveLength(150)
    const [shown, rest] = chart.split('<details>')
    expect(shown).toContain('domain 149')
    expect(shown).not.toContain('domain 137<')
    expect(rest).toContain('<summary>138 more domains, 84.6 % together</summary>')
  })

  test('lines run from λ = 0 to 1 on a common scale; a missing error leaves a band of no width', () => {
    const chart = lineChart('label', { y: 'nats' }, [
      { name: 'a', x: [0, 0.5, 1], y: [2, 1, 0], error: [null, 0.5, null] },
    ])
    const points = /<polyline class="line" points="([^"]+)"/
      .exec(chart)![1]
      .split(' ')
      .map((pair) => pair.split(',').map(Number))
    expect(points[1][0] - points[0][0]).toBeCloseTo(points[2][0] - points[1][0], 6)
    expect(points[1][1] - points[0][1]).toBeCloseTo(points[2][1] - points[1][1], 6)
    const band = /<polygon class="band" points="([^"]+)"/
      .exec(chart)![1]
      .split(' ')
      .map((pair) => pair.split(',').map(Number))
    expect(band).toHaveLength(6)
    expect(band[0]).toEqual(band[5])
    expect(band[4][1] - band[1][1]).toBeCloseTo((points[2][1] - points[0][1]) / 2, 1)
  })

  test('flat lines and equal values draw without NaN', () => {
    expect(lineChart('label', { y: 'nats' }, [{ name: 'a', x: [0.5], y: [0] }])).not.toMatch(/NaN|Infinity/)
    expect(barChart([{ name: 'a', value: 0, low: 0, high: 0 }], options)).not.toMatch(/NaN|Infinity/)
  })
})
