// npm run attack [-- --minutes N --seed N --only NAME --step N]: every attack in turn until the time is over. A step is
// told again by its attack's name, seed and number. Exit code 1 when any failed; the last line counts.
import { cleanUp } from './no-jest.js'
import { parseArgs } from 'node:util'
import { Random } from '../../lib/random.js'
import type { Attack } from './attack.js'
import { Change } from './change.js'
import { Differential } from './differential.js'
import { Fuzz } from './fuzz.js'
import { Hostile } from './hostile.js'
import { Kill } from './kill.js'
import { Odd } from './odd.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    only: { type: 'string' },
    step: { type: 'string' },
  },
})
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const mostTold = 20

interface Tally {
  steps: number
  failures: number
  milliseconds: number
}

async function tried(attack: Attack, number: number, tally: Tally): Promise<void> {
  const started = performance.now()
  const failure = await attack
    .step(new Random(seed, attack.name, number))
    .catch((error: Error) => `the attack itself: ${error.stack}`)
  tally.milliseconds += performance.now() - started
  tally.steps++
  if (failure === undefined) return
  if (++tally.failures <= mostTold) console.log(`FAILED ${attack.name} --seed ${seed} --step ${number}: ${failure}`)
}

async function main(): Promise<number> {
  const makers = [Fuzz, Differential, Kill, Change, Odd, Hostile]
  const all = makers
    .map((Maker): Attack => new Maker())
    .filter(({ name }) => values.only === undefined || name.includes(values.only))
  const attacks = all.filter((attack) => {
    const reason = attack.skip?.() ?? null
    if (reason !== null) console.log(`skipped: ${attack.name}: ${reason}`)
    return reason === null
  })
  const tallies = new Map(
    attacks.map((attack): [Attack, Tally] => [attack, { steps: 0, failures: 0, milliseconds: 0 }]),
  )
  console.log(`attacks with --seed ${seed}, ${values.minutes} minutes`)
  const end = performance.now() + Number(values.minutes) * 60_000
  if (values.step !== undefined) for (const [attack, tally] of tallies) await tried(attack, Number(values.step), tally)
  while (values.step === undefined && performance.now() < end && attacks.length > 0) {
    // whoever has had the least of its share
    const [attack, tally] = [...tallies].reduce((a, b) =>
      a[1].milliseconds / a[0].share <= b[1].milliseconds / b[0].share ? a : b,
    )
    await tried(attack, tally.steps, tally)
  }
  let [passed, failed] = [0, 0]
  for (const [{ name }, { steps, failures, milliseconds }] of tallies) {
    console.log(`${name}: ${steps} tries, ${failures} failed, ${(milliseconds / 1000).toFixed(0)} s`)
    passed += steps - failures
    failed += failures
  }
  for (const attack of all) await attack.close?.()
  await cleanUp()
  console.log(`attacks: ${passed} tries held, ${failed} did not`)
  return failed > 0 || passed === 0 ? 1 : 0
}

void main().then((code) => process.exit(code))
