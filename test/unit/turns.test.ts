import { setTimeout as sleep } from 'node:timers/promises'
import { Random } from '../../lib/random.js'
import { sortInTurns, Turns } from '../../lib/turns.js'

test.each([0, 1, 2, 1024, 1025, 3000, 5121])('%i items are sorted as at once, equal ones as they came', async (n) => {
  const random = new Random(n, 'sort')
  const items = Array.from({ length: n }, (_, i) => ({ i, key: String(random.below(Math.max(1, n / 3))) }))
  const expected = [...items].sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)))
  expect(await sortInTurns(items, ({ key }) => key, new Turns())).toEqual(expected)
})

test('others have their turn meanwhile, and an abort is noticed', async () => {
  const items = Array.from({ length: 200_000 }, (_, i) => String((i * 7919) % 200_003))
  const controller = new AbortController()
  const sorting = sortInTurns(items, (item) => item, new Turns(controller.signal))
  await sleep(1)
  controller.abort('enough')
  await expect(sorting).rejects.toBe('enough')
})
