// What `merge` refuses, and what is left when it is stopped.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { join } from 'node:path'
import { merge, type MergeOptions } from '../../lib/merge/index.js'
import { base, floats, fresh, listing, model, ramp, reference, run, sha } from '../support/merging.js'
import { fixtureModel, temporaryDirectory } from '../support/models.js'
import { repositoryRoot } from '../support/shared.js'

describe('interrupted', () => {
  const sized = (factor: number) => Array.from({ length: 8 }, (_, i) => floats(`t${i}`, ramp(20_000, factor + i)))
  const [l, r] = [() => model(sized(0.1)), () => model(sized(0.2))]

  test('goes on where it stopped and gives the same bytes', async () => {
    const options = { base: l(), reference: r(), points: 3, maxShard: 80_000, path: 'slerp' }
    const whole = await merge({ ...options, output: fresh() })
    const output = fresh()
    const stop = new AbortController()
    const stopped = await merge({
      ...options,
      output,
      signal: stop.signal,
      // the second shard is being written: the first has its names
      onProgress: ({ phase, done, total }) => {
        if (phase === 'write' && done > total / 8) stop.abort(new Error('enough'))
      },
    }).catch((error) => error)
    expect(stopped).toMatchObject({ message: 'enough' })
    const left = Object.keys(listing(output))
    expect(left).toContain('point-01/model-00001-of-00008.safetensors')
    expect(left.filter((file) => file.endsWith('json'))).toEqual([])
    for (const file of left.filter((name) => name.endsWith('.safetensors')))
      expect(listing(output)[file]).toBe(listing(whole.output)[file])
    // what a killed process would leave as well
    writeFileSync(join(output, 'point-02', 'model-00008-of-00008.safetensors.part'), 'half')
    await expect(merge({ ...options, points: 4, output })).rejects.toMatchObject({
      code: 'OUTPUT_EXISTS',
      message: expect.stringMatching(/unfinished merge of other/),
    })
    const again = await merge({ ...options, output })
    expect(again.resumed).toBeGreaterThanOrEqual(3)
    expect(listing(output)).toEqual(listing(whole.output))
  })

  test('before anything was finished leaves nothing', async () => {
    const output = fresh()
    const reason = new Error('enough')
    await expect(run({ output, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const stop = new AbortController()
    // stopped between making the folder and the first byte
    const statfs = jest.spyOn(fs, 'statfs').mockImplementation(async () => {
      stop.abort(reason)
      return { bavail: 1e9, bsize: 4096 } as never
    })
    const options = { base: l(), reference: r(), points: 3, output, signal: stop.signal }
    await expect(merge(options)).rejects.toBe(reason)
    statfs.mockRestore()
    expect(existsSync(output)).toBe(false)
  })

  test('by an input that shrinks or changes says so', async () => {
    const damage = async (harm: (file: string) => void, path: string) => {
      const options = { base: l(), reference: r(), lambda: 0.5, path, output: fresh() }
      let harmed = false
      const error = await merge({
        ...options,
        onProgress: ({ phase, done, total }) => {
          if (harmed || phase !== 'path' || done < total) return
          harmed = true
          harm(join(options.base, 'model.safetensors'))
        },
      }).catch((caught) => caught)
      expect(harmed).toBe(true)
      expect(existsSync(options.output)).toBe(false)
      return error
    }
    expect(await damage((file) => truncateSync(file, statSync(file).size - 50_000), 'linear')).toMatchObject({
      code: 'FILE_SHRANK',
      exitCode: 3,
    })
    expect(await damage((file) => utimesSync(file, 1, 1), 'slerp')).toMatchObject({ code: 'FILE_CHANGED', exitCode: 3 })
  })
})

describe('refuses', () => {
  test.each<[string, Partial<MergeOptions>]>([
    ['MERGE_LAMBDA', { lambda: undefined }],
    ['MERGE_LAMBDA', { points: 3 }],
    ['MERGE_LAMBDA', { path: 'trajectory', checkpoint: [base] }],
    ['LAMBDA_RANGE', { lambda: 1.5 }],
    ['MERGE_DTYPE_UNKNOWN', { dtype: 'int8' }],
    ['MERGE_SHARD_RANGE', { maxShard: 0 }],
    ['PATH_DENSITY_RANGE', { path: 'ties', density: 2 }],
    ['FILTER_MATCHES_NOTHING', { only: ['encoder.layer.99.*'] }],
    ['NO_SIGNAL', { base: reference, baseHead: undefined }],
    ['NO_SIGNAL', { only: ['classifier.*'], base: reference, baseHead: undefined }],
    ['PAIR_ARCHITECTURE', { base: fixtureModel('gpt2/base') }],
  ])('%s %o', async (code, options) => {
    const output = fresh()
    await expect(run({ output, ...options })).rejects.toMatchObject({ code })
    expect(existsSync(output)).toBe(false)
  })
  test('embeddings of different sizes, with both', async () => {
    const of = (rows: number) => model([{ name: 'a', shape: [rows, 2] }], { vocab_size: rows })
    await expect(merge({ base: of(3), reference: of(4), output: fresh(), lambda: 0.5 })).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringMatching(/3.*4/),
    })
  })
  test('missing and extra tensors', async () => {
    const [few, many] = [model([floats('m.a', [1])]), model([floats('m.a', [2]), floats('m.b', [1])])]
    await expect(merge({ base: few, reference: many, output: fresh(), lambda: 0.5 })).rejects.toMatchObject({
      code: 'PAIR_TENSORS',
    })
    await expect(merge({ base: many, reference: few, output: fresh(), lambda: 0.5 })).rejects.toMatchObject({
      code: 'PAIR_TENSORS',
    })
  })
  test('weights that are not finite, by name and index', async () => {
    const [l, r] = [model([floats('a', [1, 2, 3])]), model([floats('a', [1, NaN, 4])])]
    await expect(merge({ base: l, reference: r, output: fresh(), lambda: 0.5 })).rejects.toMatchObject({
      code: 'WEIGHTS_NOT_FINITE',
      exitCode: 3,
      message: expect.stringMatching(/tensor a, element 1/),
    })
  })
  test('an output that is an input, exists, is a file, or cannot be made', async () => {
    await expect(run({ output: base })).rejects.toMatchObject({ code: 'OUTPUT_IS_INPUT', exitCode: 2 })
    const dir = temporaryDirectory()
    writeFileSync(join(dir, 'mine'), 'x')
    await expect(run({ output: dir })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS', exitCode: 2 })
    await expect(run({ output: join(dir, 'mine') })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    await expect(run({ output: join(dir, 'mine', 'below') })).rejects.toMatchObject({
      code: 'OUTPUT_NOT_WRITABLE',
      exitCode: 4,
    })
    await expect(run({ output: '/proc/warp-none' })).rejects.toMatchObject({ code: 'OUTPUT_NOT_WRITABLE' })
    const { output } = await run({ output: join(dir, 'new') })
    await expect(run({ output })).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' })
    writeFileSync(join(output, 'README.md'), 'mine')
    await run({ output, force: true, lambda: 0.8 })
    expect(JSON.parse(readFileSync(join(output, 'warp.merge.json'), 'utf8')).lambda).toBe(0.8)
    expect(readFileSync(join(output, 'README.md'), 'utf8')).toBe('mine')
  })
})

/** Two models large enough that writing them can be cut short. */
function largePair(elements: number): [string, string] {
  const tensors = (factor: number) => Array.from({ length: 12 }, (_, i) => floats(`t${i}`, ramp(elements, factor + i)))
  return [model(tensors(0.1)), model(tensors(0.2))]
}

test('a killed process leaves only whole files under final names, and the same command goes on', async () => {
  const [l, r] = largePair(250_000)
  const output = fresh()
  const args = [join(repositoryRoot, 'dist/bin/warp.js'), 'merge', '--base', l, '--reference', r, '--points', '4']
  args.push('--max-shard', '1MB', '-o', output, '--json', '-q')
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  const first = join(output, 'point-04', 'model-00001-of-00012.safetensors')
  const ended = new Promise((resolve) => child.on('exit', resolve))
  while (child.exitCode === null && !existsSync(first)) await new Promise((resolve) => setTimeout(resolve, 1))
  child.kill('SIGKILL')
  await ended
  const left = listing(output)
  const again = spawnSync(process.execPath, args, { encoding: 'utf8' })
  expect(again.status).toBe(0)
  const result = JSON.parse(again.stdout)
  expect(result.resumed).toBeGreaterThanOrEqual(4)
  const whole = fresh()
  await merge({ base: l, reference: r, points: 4, maxShard: 1e6, output: whole })
  expect(listing(output)).toEqual(listing(whole))
  const written = Object.keys(left).filter((file) => file.endsWith('.safetensors'))
  expect(written.length).toBeGreaterThanOrEqual(4)
  for (const file of written) expect(left[file]).toBe(listing(whole)[file])
})

describe('a full disk', () => {
  test('is seen before the first byte, with the bytes needed and free', async () => {
    const statfs = jest.spyOn(fs, 'statfs').mockResolvedValue({ bavail: 3, bsize: 4096 } as never)
    const output = fresh()
    const error = await run({ output }).catch((caught) => caught)
    statfs.mockRestore()
    expect(error).toMatchObject({ code: 'DISK_FULL', exitCode: 4, details: { found: 12288 } })
    expect(error.details.expected).toBeGreaterThan(12288)
    expect(existsSync(output)).toBe(false)
  })

  test('in the middle leaves nothing half-written and names the bytes needed', async () => {
    const [l, r] = largePair(250_000)
    const disk = temporaryDirectory()
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'tmpfs', disk]).status !== 0) {
      process.stderr.write('skipped: a full disk in the middle: no tmpfs can be mounted here\n')
      return
    }
    const statfs = jest.spyOn(fs, 'statfs').mockResolvedValue({ bavail: 1e9, bsize: 4096 } as never)
    try {
      const options = { base: l, reference: r, lambda: 0.5, maxShard: 1e6, output: join(disk, 'out') }
      const error = await merge(options).catch((caught) => caught)
      // one shard: 1 000 000 bytes of data and its header
      expect(error).toMatchObject({
        code: 'DISK_FULL',
        exitCode: 4,
        message: expect.stringMatching(/needs 1000\d\d\d bytes/),
      })
      const left = readdirSync(options.output)
      expect(left.filter((file) => !/^(warp\.merge\.part|model-\d+-of-00012\.safetensors)$/.test(file))).toEqual([])
      const whole = await merge({ ...options, output: fresh() })
      const shards = left.filter((file) => file.startsWith('model'))
      expect(shards.length).toBeGreaterThan(2)
      for (const file of shards) expect(sha(join(options.output, file))).toBe(sha(join(whole.output, file)))
    } finally {
      statfs.mockRestore()
      spawnSync('umount', [disk])
    }
  })
})
