// scripts/examples.cjs draws the training texts of the README's expert: as many of each domain as it says.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

interface Script {
  draw(file: string, counts: Record<string, number>, seed?: number): Promise<{ text: string; label: string }[]>
}
const script = (): Promise<Script> => import(join(repositoryRoot, 'scripts/examples.cjs')) as Promise<Script>

const file = join(temporaryDirectory(), 'news.csv')
const line = (i: number): string => `"${(i % 3) + 1}","title ""${i}""","about ${i}, and more"\n`
writeFileSync(file, Array.from({ length: 60 }, (_, i) => line(i)).join(''))

test('as many of each as asked for, each text once, the same again for a seed', async () => {
  const { draw } = await script()
  const counts = { World: 9, Sports: 0, Business: 20 }
  const drawn = await draw(file, counts)
  const of = (label: string) => drawn.filter((one) => one.label === label).map(({ text }) => text)
  expect(Object.keys(counts).map((name) => of(name).length)).toEqual([9, 0, 20])
  expect(new Set(drawn.map(({ text }) => text)).size).toBe(29)
  for (const text of of('Business')) expect(text).toMatch(/^title "(\d+)" about \1, and more$/)
  expect(await draw(file, counts)).toEqual(drawn)
  const other = await draw(file, counts, 8)
  expect(other.filter(({ label }) => label === 'World')).not.toEqual(drawn.filter(({ label }) => label === 'World'))
})

test('a domain that has too few texts is named', async () => {
  const { draw } = await script()
  await expect(draw(file, { World: 21, Sports: 1, Business: 1 })).rejects.toThrow(/20 texts of World, 21 are needed/)
})
