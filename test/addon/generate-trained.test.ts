// Whether every token of a text was trained on, against models whose training texts are known.
import { judgeTrained, type WholeText } from '../../lib/generate/index.js'
import { readEvidence } from '../../lib/trace/index.js'
import { languageCases, languagePair, textOf, type LanguageCase } from '../support/trace-lm.js'

const cases = languageCases().filter(({ kind }) => kind !== 'bert')
const untied = cases.filter(({ tied }) => !tied)

const whole = (ids: number[], ended = true): WholeText => ({ text: textOf(ids), ids, ended })

async function judged(one: LanguageCase, texts: WholeText[], notes: string[] = []) {
  const { base, reference } = languagePair(one)
  return judgeTrained(await readEvidence(base, reference), texts, {}, notes)
}

test.each(untied.map((one) => [one.name, one] as const))('%s', async (_name, one) => {
  const trained = new Set(one.trained)
  const texts = [...one.training, ...one.others]
  const found = await judged(
    one,
    texts.map((ids) => whole(ids)),
  )
  found.forEach((text, i) => {
    const missing = texts[i]!.filter((id) => !trained.has(id))
    if (text.trained) expect(missing).toEqual([])
    if (text.trained === false) expect(text.untrained.length).toBeGreaterThan(0)
    else expect(text.untrained).toEqual([])
    if (missing.length === 0) expect(text.trained).toBe(true)
    expect(text.trainedScore).toBeNull()
  })
  const own = found.slice(0, one.training.length)
  // never says of a training text that it was none; nor of a part of one that its length cut off
  expect(own.filter((text) => text.trained === false)).toEqual([])
  const parts = one.training.filter((ids) => ids.length > 3).map((ids) => whole(ids.slice(0, -2), false))
  expect((await judged(one, parts)).filter((text) => text.trained === false)).toEqual([])
  // of a text of untrained tokens alone it does
  const never = Array.from({ length: 390 }, (_, i) => i + 5).filter((id) => !trained.has(id))
  if (never.length < 6) return
  const [invented] = await judged(one, [whole(never.slice(0, 6))])
  expect(invented!.trained).toBe(false)
})

test.each(cases.filter(({ tied }) => tied).map((one) => [one.name, one] as const))(
  '%s: graded or nothing, never certain',
  async (_name, one) => {
    const notes: string[] = []
    const texts = [...one.training.slice(0, 40), ...one.others.slice(0, 40)].map((ids) => whole(ids))
    const found = await judged(one, texts, notes)
    for (const { trained, untrained, trainedScore } of found) {
      expect([trained, untrained]).toEqual([null, []])
      if (trainedScore === null) expect(notes).not.toEqual([])
      else expect(trainedScore > 0 && trainedScore <= 1).toBe(true)
    }
  },
)

test('a word that the length cut off does not make a text invented', async () => {
  const one = untied.find(({ name }) => name === 'llama-plain')!
  const trained = new Set(one.trained)
  const never = Array.from({ length: 390 }, (_, i) => i + 5).filter((id) => !trained.has(id))
  const known = one.trained.filter((id) => id > 4).slice(0, 5)
  // untrained ids at the end: as one word that may go on they say nothing, as words that ended they do
  const cut = { ...whole([...known, never[0]!, never[1]!], false), text: `${textOf(known)} ${textOf([never[0]!])}x` }
  expect((await judged(one, [cut]))[0]!.trained).toBeNull()
  expect((await judged(one, [whole([...known, never[0]!, never[1]!, known[0]!])]))[0]!.trained).toBe(false)
  expect((await judged(one, [whole([])]))[0]!.trained).toBeNull()
})
