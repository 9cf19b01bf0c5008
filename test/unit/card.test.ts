// The data portfolio of a model card: front matter for programs, Markdown in which no name means anything.
import os from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { dataCard, type RecoverResult } from '../../lib/report/index.js'
import { recovered } from '../support/page-results.js'

const day = new Date('2026-02-03T04:05:06Z')

/** Front matter as a program reads it, and the Markdown behind it. */
function read(card: string): { data: Record<string, never>; body: string } {
  const [, front, body] = /^---\n([\s\S]*?)\n---\n\n([\s\S]*)$/.exec(card)!
  return { data: parse(front) as Record<string, never>, body }
}

test('front matter and table have the shares, intervals, claim and verdict', async () => {
  const names = ['World', 'Sports', 'Sci/Tech']
  const claim = { World: 0.2, Sports: 0.5, 'Sci/Tech': 0.3 }
  const result = await recovered(names, {}, claim)
  const { data, body } = read(dataCard(result, day))
  const { mixture, interval } = result.recommended
  expect(data).toEqual({
    data_portfolio: {
      schema: 'warp.card/1',
      made: '2026-02-03',
      by: 'warp-recover 1.2.3',
      base: 'base',
      reference: 'ref',
      verdict: result.diagnostics.verdict,
      readout: result.recommended.readout,
      level: 0.9,
      interval_covers: 'sampling and method',
      mixture: names.map((domain) => ({
        domain,
        share: expect.closeTo(mixture[domain], 4),
        interval: interval[domain].map((end) => expect.closeTo(end, 4)),
        claimed: claim[domain as keyof typeof claim],
      })),
      claim: {
        verdict: result.claimed!.verdict,
        distance: expect.closeTo(result.claimed!.distance, 4),
        p_value: expect.closeTo(result.claimed!.pValue, 4),
        limit: expect.closeTo(result.claimed!.limit, 4),
      },
    },
  })
  for (const name of names) {
    const share = (100 * mixture[name]).toFixed(1)
    expect(body).toMatch(new RegExp(`^\\| ${name} \\| ${share} % \\| [\\d.]+ – [\\d.]+ % \\| [235]0\\.0 % \\|$`, 'm'))
  }
  expect(body).toContain(`**Claimed mixture: ${result.claimed!.verdict}.**`)
  expect(body).toContain(`**Verdict: ${result.diagnostics.verdict}.**`)
  expect(body).toContain('```sh\nwarp recover --base base --reference ref\n```')
  expect(body).toContain(`| base | base | \`${'0123456789abcdef'.repeat(4)}\` |`)
})

test('an interval of sampling alone stands in brackets, and the front matter says so', async () => {
  const result = await recovered(['a', 'b'])
  for (const mixture of result.mixtures) mixture.intervalCovers = 'sampling'
  const { data, body } = read(dataCard(result, day))
  expect(data).toMatchObject({ data_portfolio: { interval_covers: 'sampling' } })
  expect(body).toContain('| domain | share | sampling alone |')
  expect(body).toMatch(/^\| a \| [\d.]+ % \| \([\d.]+ – [\d.]+ %\) \|$/m)
})

test('what cannot be told has no shares', async () => {
  const result = await recovered(['a', 'b'])
  result.diagnostics.verdict = 'unidentifiable'
  const { data, body } = read(dataCard(result, day))
  expect(Object.keys(data.data_portfolio)).not.toContain('mixture')
  expect(body).not.toMatch(/^\| a \|/m)
  expect(body).toContain('cannot be told')
})

test('no name, path or note is Markdown, HTML or another line', async () => {
  const evil = ['a | b', '<img src=x>', '---\n# title', '[x](javascript:1) `c` https://d.e @f']
  const change: Partial<RecoverResult> = { notes: ['*note* <b>\n- item'], command: { base: 'b```\nx' } }
  const { data, body } = read(dataCard(await recovered(evil, change), day))
  expect((data.data_portfolio as { mixture: { domain: string }[] }).mixture.map(({ domain }) => domain)).toEqual(evil)
  const text = body.replace(/^(`{3,})sh\n[\s\S]*?\n\1$/m, '')
  expect(text).not.toMatch(/(?<!\\)(<|\[|@|\*note|https:|javascript:)/)
  expect(text.match(/^\| .*% \|$/gm)).toHaveLength(4)
  for (const line of text.match(/^\| .*% \|$/gm)!) expect(line.match(/(?<!\\)\|/g)).toHaveLength(4)
  expect(text.match(/^#.*/gm)).toEqual(['## Data portfolio', '### Limits', '### Where this comes from'])
})

test('base_model is there where the hub has the base; the home folder is not', async () => {
  const hub = await recovered(['a', 'b'], { command: { base: 'hf:owner/name@main', reference: 'r' } })
  expect(read(dataCard(hub, day)).data).toMatchObject({ base_model: 'owner/name' })
  const home = join(os.homedir(), 'models/x')
  const card = dataCard(await recovered(['a', 'b'], { command: { base: home, reference: home } }), day)
  expect(card).not.toContain(home)
  expect(read(card).data).not.toHaveProperty('base_model')
})
