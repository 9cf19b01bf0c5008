import { readMixture } from '../../lib/text/index.js'
import { failure, write } from '../support/probes-files.js'

const domains = ['World', 'Sports']

test.each([
  ['shares by name, in the order of the domains', '{"Sports": 0.25, "World": 0.75}'],
  ['under the key mixture', '\ufeff{"mixture": {"World": 0.75, "Sports": 0.25}, "seed": 1}'],
  ['two lists', '{"domains": ["Sports", "World"], "mixture": [0.25, 0.75]}'],
  ['a sum within 1e-6', '{"Sports": 0.25, "World": 0.75}'],
])('%s', async (_, content) => {
  expect([...(await readMixture(write('mixture.json', content), domains))]).toEqual([0.75, 0.25])
})

test('the sum may be off by 1e-6 and no more', async () => {
  const file = (excess: number): string => write('sum.json', JSON.stringify({ World: 0.5, Sports: 0.5 + excess }))
  expect((await readMixture(file(0.9e-6), domains))[1]).toBe(0.5 + 0.9e-6)
  expect(await failure(readMixture(file(1.1e-6), domains))).toMatchObject({ code: 'MIXTURE_SUM' })
})

test.each<[string, string, string, string]>([
  ['a negative share', '{"World": 1.5, "Sports": -0.5}', 'MIXTURE_SHARE_INVALID', '-0.5'],
  ['NaN', '{"World": NaN, "Sports": 1}', 'MIXTURE_NOT_JSON', ':1:11: '],
  ['NaN as a string', '{"World": "NaN", "Sports": 1}', 'MIXTURE_SHARE_INVALID', 'NaN'],
  ['null', '{"World": null, "Sports": 1}', 'MIXTURE_SHARE_INVALID', 'null'],
  ['an infinite share', '{"World": 1e999, "Sports": 1}', 'MIXTURE_SHARE_INVALID', 'Infinity'],
  ['a wrong sum', '{"World": 0.5, "Sports": 0.25}', 'MIXTURE_SUM', 'sum to 0.75'],
  ['an unknown domain', '{"World": 0.5, "Sprots": 0.5}', 'MIXTURE_DOMAIN_UNKNOWN', 'did you mean "Sports"?'],
  ['a missing domain', '{"World": 1}', 'MIXTURE_DOMAIN_MISSING', '"Sports"'],
  ['no object', '[0.5, 0.5]', 'MIXTURE_FORM', 'an array'],
  ['lists of different lengths', '{"domains": ["World"], "mixture": [0.5, 0.5]}', 'MIXTURE_FORM', 'domains'],
  ['a domain twice', '{"domains": ["World", "World"], "mixture": [0.5, 0.5]}', 'MIXTURE_FORM', 'different'],
  ['a domain twice in an object', '{"World": 0.5, "Sports": 0.2, "World": 0.8}', 'MIXTURE_DUPLICATE_KEY', 'World'],
  ['no JSON', '{"World": 0.5,\n}', 'MIXTURE_NOT_JSON', ':2:1: '],
])('%s is refused', async (_, content, code, says) => {
  const file = write('refused.json', content)
  const error = await failure(readMixture(file, domains))
  expect(error).toMatchObject({ code, exitCode: 3, details: { file } })
  expect(error.hint).not.toBe('')
  expect(`${error.message}\n${error.hint}`).toContain(says)
})

test('a file that is not there', async () => {
  expect(await failure(readMixture('nowhere.json', domains))).toMatchObject({
    code: 'MIXTURE_UNREADABLE',
    details: { found: 'ENOENT' },
  })
})
