// The Node API of long calls: abort, progress, the event loop, worker threads, memory, silence. A tiny pair of random
// models.
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { footprint, planRecover, recover, WarpError, type Progress, type RecoverOptions } from '../../lib/index.js'
import { addon } from '../../lib/native/load.js'
import { makePair } from '../support/pair.js'
import { repositoryRoot } from '../support/shared.js'

const pair = makePair()
const many = makePair('bert', { perDomain: 4000 })
const few = { base: pair.base, reference: pair.reference, probes: [pair.probes], points: 3 }
const quick: RecoverOptions = { ...few, bootstrap: 20 }
/** Would score for a minute. */
const slow: RecoverOptions = { base: many.base, reference: many.reference, probes: [many.probes], points: 200 }

const atStart = addon().memoryUsed()
afterEach(() => expect(addon().memoryUsed()).toBe(atStart))

describe('abort', () => {
  test.each([
    ['recover', recover],
    ['planRecover', planRecover],
    ['footprint', footprint],
  ])('%s: before anything is opened', async (_, call) => {
    const reason = new Error('enough')
    await expect(call({ ...few, base: '/nowhere', signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  test.each(['read', 'tokenize', 'survey', 'hash', 'trace', 'score'])(
    'during %s: rejects with the reason',
    async (where) => {
      const controller = new AbortController()
      const reason = new Error('enough')
      // a phase that says nothing on so small a pair is aborted when scoring begins
      const run = recover({
        ...slow,
        signal: controller.signal,
        onProgress: ({ phase }) => {
          if (phase.startsWith(where) || phase === 'score') controller.abort(reason)
        },
      })
      await expect(run).rejects.toBe(reason)
    },
  )

  test('during the resamples', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const run = recover({
      ...quick,
      bootstrap: 100_000,
      signal: controller.signal,
      onProgress: ({ phase }) => {
        if (phase === 'resample') controller.abort(reason)
      },
    })
    await expect(run).rejects.toBe(reason)
  })

  test('the signal’s own reason, when none is given', async () => {
    const controller = new AbortController()
    const run = footprint({
      ...slow,
      signal: controller.signal,
      onProgress: ({ phase }) => phase === 'score' && controller.abort(),
    })
    await expect(run).rejects.toMatchObject({ name: 'AbortError' })
  })
})

describe('progress', () => {
  test('never goes back within a phase, phases do not return, each ends in its total', async () => {
    const seen: Progress[] = []
    await recover({ ...quick, onProgress: (p) => seen.push({ ...p }) })
    const phases = seen.map(({ phase }) => phase).filter((phase, i, all) => phase !== all[i - 1])
    expect(new Set(phases).size).toBe(phases.length)
    expect(phases).toEqual(expect.arrayContaining(['read', 'tokenize', 'survey', 'hash', 'score', 'resample']))
    for (const phase of phases) {
      const steps = seen.filter((p) => p.phase === phase)
      for (const { done, total, unit } of steps) {
        expect(done).toBeLessThanOrEqual(total)
        expect(total).toBe(steps[0].total)
        expect(unit).toMatch(/^[a-z]+$/)
      }
      steps.slice(1).forEach(({ done }, i) => expect(done).toBeGreaterThanOrEqual(steps[i].done))
      expect({ phase, done: steps.at(-1)!.done }).toEqual({ phase, done: steps.at(-1)!.total })
    }
  })

  test.each(['read', 'score', 'resample'])(
    'what onProgress throws in %s is what the call rejects with',
    async (where) => {
      const thrown = new Error(`thrown in ${where}`)
      const run = recover({
        ...quick,
        onProgress: ({ phase }) => {
          if (phase === where) throw thrown
        },
      })
      await expect(run).rejects.toBe(thrown)
    },
  )
})

test('the event loop stays free while texts are scored', async () => {
  const controller = new AbortController()
  let ticks = 0
  let started = false
  const timer = setInterval(() => {
    if (started && ++ticks === 20) controller.abort('enough ticks')
  }, 5)
  const run = recover({
    ...slow,
    signal: controller.signal,
    onProgress: ({ phase }) => {
      started ||= phase === 'score'
    },
  })
  await expect(run).rejects.toBe('enough ticks') // were it blocked, scoring would end first
  clearInterval(timer)
})

test('failures are WarpErrors with code, details and hint', async () => {
  const error: unknown = await recover({ ...quick, memory: 1000 }).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(WarpError)
  expect(error).toMatchObject({ kind: 'resource', code: 'MEMORY_BUDGET', hint: expect.stringContaining('--memory') })
  await expect(recover({ ...quick, threads: 1.5 })).rejects.toMatchObject({ code: 'OPTION_RANGE', exitCode: 2 })
  await expect(recover({ ...quick, bootstrap: 5 })).rejects.toMatchObject({ code: 'OPTION_RANGE' })
  await expect(recover({ ...quick, readout: [] })).rejects.toMatchObject({ code: 'READOUT_UNKNOWN' })
})

test('two runs at once give what each gives alone', async () => {
  const alone = await footprint(few)
  const [a, b] = await Promise.all([footprint(few), footprint({ ...few, threads: 1 })])
  expect(a.alignment).toEqual(alone.alignment)
  expect(b.alignment).toEqual(alone.alignment)
})

test.each([1, 1.5, 4])('native buffers stay within the plan for %f times the smallest budget', async (times) => {
  const { base, reference, probes } = makePair('bert', { perDomain: 1000 })
  const options: RecoverOptions = { base, reference, probes: [probes], points: 12, bootstrap: 20, threads: 2 }
  const { smallestMemoryBytes } = await planRecover(options)
  const memory = Math.floor(smallestMemoryBytes * times)
  const plan = await planRecover({ ...options, memory })
  expect(plan.workingMemoryBytes).toBeLessThanOrEqual(memory)
  let most = 0
  let scoring = false
  const timer = setInterval(() => {
    if (scoring) most = Math.max(most, addon().memoryUsed())
  }, 1)
  await recover({
    ...options,
    memory,
    onProgress: ({ phase }) => {
      scoring = phase === 'score'
    },
  })
  clearInterval(timer)
  expect(most).toBeGreaterThan(plan.workingMemoryBytes / 10) // sampled while it ran
  expect(most - atStart).toBeLessThanOrEqual(plan.workingMemoryBytes)
})

describe('worker threads', () => {
  const start = (options: RecoverOptions) =>
    new Worker(
      `
    const { parentPort, workerData } = require('node:worker_threads')
    const { recover } = require(workerData.library)
    const onProgress = ({ phase }) => parentPort.postMessage({ phase })
    recover({ ...workerData.options, onProgress }).then(
      ({ result, alignment }) => parentPort.postMessage({ mixtures: result.mixtures, alignment }),
      (error) => parentPort.postMessage({ error: String(error) }))
  `,
      { eval: true, workerData: { library: join(repositoryRoot, 'dist/lib/index.js'), options } },
    )
  interface Message {
    phase?: string
    error?: string
    mixtures?: unknown
    alignment?: Float64Array
  }

  test('give the same result', async () => {
    const worker = start(quick)
    const message = await new Promise<Message>((resolve, reject) => {
      worker.on('error', reject).on('message', (m: Message) => m.phase ?? resolve(m))
    })
    const here = await recover(quick)
    expect(message.error).toBeUndefined()
    expect(JSON.stringify(message.mixtures)).toBe(JSON.stringify(here.result.mixtures))
    expect([...message.alignment!]).toEqual([...here.alignment])
    await worker.terminate()
  })

  test('may be terminated while scoring: native memory is given back', async () => {
    const worker = start(slow)
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject).on('message', (m: Message) => {
        if (m.error) reject(new Error(m.error))
        if (m.phase === 'score') resolve()
      })
    })
    expect(addon().memoryUsed()).toBeGreaterThan(atStart)
    await worker.terminate()
    expect(addon().memoryUsed()).toBe(atStart)
  })

  test('may be terminated at any moment, while native code calls back; the process goes on', () => {
    // a process of its own: what would be wrong ends it
    const script = `
      const { Worker } = require('node:worker_threads')
      const [library, options] = process.argv.slice(1)
      const body = \`
        const { parentPort, workerData } = require('node:worker_threads')
        const { footprint } = require(workerData.library)
        parentPort.postMessage('loaded')
        const again = () => footprint({ ...workerData.options, onProgress: () => {} }).then(again)
        again()\`
      const once = async (i) => {
        const worker = new Worker(body, { eval: true, workerData: { library, options: JSON.parse(options) } })
        await new Promise((resolve, reject) => worker.once('error', reject).once('message', resolve))
        await new Promise((resolve) => setTimeout(resolve, 20 + (i * 37) % 180))
        await worker.terminate()
      }
      ;(async () => {
        for (let i = 0; i < 100; i++) await once(i)
        console.log('alive')
      })()`
    const options = JSON.stringify({ ...few, points: 15, threads: 2 })
    const run = spawnSync(process.execPath, ['-e', script, join(repositoryRoot, 'dist/lib/index.js'), options], {
      encoding: 'utf8',
    })
    expect({ status: run.status, stdout: run.stdout, stderr: run.stderr }).toEqual({
      status: 0,
      stdout: 'alive\n',
      stderr: '',
    })
  })
})

test('the library writes nothing to the console, also when it fails', () => {
  const script = `
    const { recover } = require(process.argv[1])
    const options = JSON.parse(process.argv[2])
    recover(options).then(() => recover({ ...options, base: '/nowhere' }))
      .catch((error) => { process.exitCode = error.exitCode })
  `
  let status = 0
  let written: unknown
  try {
    execFileSync(process.execPath, ['-e', script, join(repositoryRoot, 'dist/lib/index.js'), JSON.stringify(quick)], {
      stdio: 'pipe',
    })
  } catch (error) {
    const { status: code, stdout, stderr } = error as { status: number; stdout: Buffer; stderr: Buffer }
    status = code
    written = `${stdout}${stderr}`
  }
  expect({ status, written }).toEqual({ status: 3, written: '' })
})
