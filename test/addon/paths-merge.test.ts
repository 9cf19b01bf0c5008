// What `merge` writes.
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { nativeWeights, networkOf, openPair } from '../../lib/checkpoint/index.js'
import { scoreProbes } from '../../lib/footprint/score.js'
import { merge, planMerge } from '../../lib/merge/index.js'
import { addon } from '../../lib/native/load.js'
import { openPath, pathFamilies } from '../../lib/paths/index.js'
import type { PackedProbes } from '../../lib/text/index.js'
import { base, floats, fresh, listing, model, reference, run, sha, weights } from '../support/merging.js'
import { fixtureModel, type TestTensor } from '../support/models.js'

describe('one point', () => {
  test.each(pathFamilies.filter((family) => family !== 'trajectory'))(
    "of %s has the values of the path, under the reference's names",
    async (path) => {
      const { output } = await run({ path })
      const opened = await openPath(base, reference, { path, baseHead: 'zeros' })
      const written = await weights(output)
      expect([...written.keys()].sort()).toEqual([...(await weights(reference)).keys()].sort())
      for (const name of opened.pair.tensorNames) {
        const { dtype, bytes } = written.get(name)!
        expect(dtype).toBe('F32')
        expect(bytes.equals(Buffer.from((await opened.tensor(name, 0.3)).buffer))).toBe(true)
      }
      opened.close()
    },
  )

  test('at 0 is the base and at 1 the reference, byte for byte', async () => {
    const [start, end] = [
      await weights((await run({ lambda: 0 })).output),
      await weights((await run({ lambda: 1 })).output),
    ]
    for (const [name, { bytes }] of await weights(base))
      if (!name.startsWith('classifier.')) expect(start.get(name)!.bytes.equals(bytes)).toBe(true)
    expect(start.get('classifier.weight')!.bytes.every((byte) => byte === 0)).toBe(true)
    for (const [name, { bytes }] of await weights(reference)) expect(end.get(name)!.bytes.equals(bytes)).toBe(true)
  })

  test('comes with configuration and a record of how it was made', async () => {
    const result = await run({ path: 'slerp', lambda: 0.4 })
    const made = JSON.parse(readFileSync(join(result.output, 'warp.merge.json'), 'utf8'))
    expect(made).toMatchObject({
      schema: 'warp.merge/1',
      lambda: 0.4,
      dtype: 'same',
      baseHead: 'zeros',
      path: { family: 'slerp' },
    })
    expect(made.inputs.map(({ role, sha256 }: { role: string; sha256: string }) => [role, sha256])).toEqual([
      ['base', sha(join(base, 'model.safetensors'))],
      ['reference', sha(join(reference, 'model.safetensors'))],
    ])
    expect(made.tensors.some(({ branch }: { branch: string }) => branch === 'slerp')).toBe(true)
    expect(sha(join(result.output, 'config.json'))).toBe(sha(join(reference, 'config.json')))
    expect(readdirSync(result.output).filter((file) => file.includes('.part'))).toEqual([])
  })

  test('scores as the path does without being written', async () => {
    const { output } = await run({ lambda: 0.35 })
    const ids = Uint32Array.from({ length: 40 }, (_, i) => ((i * 7) % 30) + 1)
    const probes = {
      ids,
      typeIds: new Uint8Array(0),
      offsets: Uint32Array.from([0, 5, 17, 20, 40]),
      label: Int32Array.from([0, 1, 2, 0]),
      domain: Int32Array.from([0, 1, 0, 1]),
    } as unknown as PackedProbes
    const loss = async (dir: string, lambda: number, column: number) => {
      const opened = await openPair(base, dir, { baseHead: 'zeros' })
      const [l, r] = [nativeWeights(opened.base, opened.generated), nativeWeights(opened.reference)]
      const path = addon().openPath(l, r, { family: 'linear', lambdas: [lambda] })
      const options = { scope: 'head', gradients: false, threads: 1, memory: 2 ** 30 } as never
      const { loss: all } = await scoreProbes(path, networkOf(opened.reference, 'classify'), probes, 2, options)
      for (const handle of [path, l, r]) handle.close()
      return Array.from({ length: 4 }, (_, i) => all[i * 3 + column])
    }
    // written in F32, θ is the same bits: so are the losses
    expect(await loss(output, 0.5, 2)).toEqual(await loss(reference, 0.35, 1))
  })
})

describe('dtypes', () => {
  test('f16 and bf16 are rounded to nearest even, and the configuration says so', async () => {
    const same = await weights((await run({})).output)
    for (const dtype of ['f16', 'bf16'] as const) {
      const { output } = await run({ dtype })
      const written = await weights(output)
      for (const [name, { dtype: found, bytes }] of written) {
        expect(found).toBe(dtype.toUpperCase())
        const wide = same.get(name)!.bytes
        const values = new Float32Array(wide.buffer.slice(wide.byteOffset, wide.byteOffset + wide.length))
        const words = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
        // half a unit in the last place: 2^-11 and 2^-8 of the value, and 2^-25 and 2^-134 below the normal range
        const [relative, floor] = dtype === 'f16' ? [2 ** -11, 2 ** -25] : [2 ** -8, 2 ** -134]
        let worst = 0
        words.forEach((word, i) => {
          const value = dtype === 'f16' ? halfValue(word) : bfloatValue(word)
          worst = Math.max(worst, Math.abs(value - values[i]) / Math.max(Math.abs(values[i]) * relative, floor))
        })
        expect(worst).toBeLessThanOrEqual(1)
      }
      expect(JSON.parse(readFileSync(join(output, 'config.json'), 'utf8'))).toMatchObject(
        'dtype' in JSON.parse(readFileSync(join(reference, 'config.json'), 'utf8'))
          ? { dtype: dtype === 'f16' ? 'float16' : 'bfloat16' }
          : { torch_dtype: dtype === 'f16' ? 'float16' : 'bfloat16' },
      )
    }
  })
  test('a value that overflows is refused and named, and nothing is left', async () => {
    const output = fresh()
    const [l, r] = [
      model([floats('a', [1, 2]), floats('b', [1, 60000, 3])]),
      model([floats('a', [1, 3]), floats('b', [1, 80000, 3])]),
    ]
    const error = await merge({ base: l, reference: r, output, lambda: 0.5, dtype: 'f16' }).catch((caught) => caught)
    expect(error).toMatchObject({
      code: 'OUTPUT_OVERFLOW',
      exitCode: 3,
      message: expect.stringMatching(/tensor b, element 1: 70000/),
    })
    expect(existsSync(output)).toBe(false)
    await merge({ base: l, reference: r, output, lambda: 0.5, dtype: 'bf16' })
  })
  test('where base and reference differ, the wider', async () => {
    const l = model([{ name: 'a', shape: [2], dtype: 'BF16', data: new Uint8Array([128, 63, 0, 64]) }])
    const r = model([{ name: 'a', shape: [2], dtype: 'F16', data: new Uint8Array([0, 66, 0, 60]) }])
    const { output } = await merge({ base: l, reference: r, output: fresh(), lambda: 0.5 })
    const { dtype, bytes } = (await weights(output)).get('a')!
    expect([dtype, bytes.readFloatLE(0), bytes.readFloatLE(4)]).toEqual(['F32', 2, 1.5])
  })
  test('F64 at the ends passes unrounded', async () => {
    const wide = (values: number[]): TestTensor => ({
      name: 'a',
      shape: [values.length],
      dtype: 'F64',
      data: new Uint8Array(Float64Array.from(values).buffer),
    })
    const [l, r] = [model([wide([0.1, 1 / 3])]), model([wide([0.2, 2 / 3])])]
    const { output } = await merge({ base: l, reference: r, output: fresh(), lambda: 0 })
    expect((await weights(output)).get('a')!.bytes.readDoubleLE(8)).toBe(1 / 3)
  })
})

test('integer buffers are copied; tied tables are written once', async () => {
  const ids: TestTensor = {
    name: 'position_ids',
    shape: [3],
    dtype: 'I64',
    data: new Uint8Array(BigInt64Array.from([0n, 1n, 2n]).buffer),
  }
  const { output, notes } = await merge({
    base: model([floats('a', [1, 2]), ids]),
    reference: model([floats('a', [3, 4]), ids]),
    output: fresh(),
    lambda: 0.5,
  })
  expect((await weights(output)).get('position_ids')).toEqual({ dtype: 'I64', bytes: Buffer.from(ids.data!) })
  expect(notes.join()).toMatch(/1 tensor \(position_ids\) copied as they are/)
  const gpt = await merge({
    base: fixtureModel('gpt2/base'),
    reference: fixtureModel('gpt2/reference'),
    baseHead: 'zeros',
    output: fresh(),
    lambda: 0.5,
  })
  const names = [...(await weights(gpt.output)).keys()]
  expect(names.filter((name) => /lm_head/.test(name))).toEqual([])
})

test('a plan says what would be written, and writes nothing', async () => {
  const output = fresh()
  const options = {
    base,
    reference,
    baseHead: 'zeros',
    output,
    points: 3,
    maxShard: 20_000,
    only: ['encoder.*'],
  } as const
  const plan = await planMerge(options)
  expect(existsSync(output)).toBe(false)
  const { bytes, points } = await merge(options)
  const files = readdirSync(points[0].dir).filter((file) => file.endsWith('.safetensors'))
  expect(plan).toMatchObject({
    lambdas: points.map(({ lambda }) => lambda),
    bytesPerPoint: bytes,
    filesPerPoint: files.length,
  })
  expect(plan.bytes).toBe(3 * bytes)
  expect(plan.freeBytes).toBeGreaterThan(0)
  expect(plan.fixed).toBeGreaterThan(0)
  await expect(planMerge({ ...options, only: ['nothing'] })).rejects.toMatchObject({ code: 'FILTER_MATCHES_NOTHING' })
})

describe('a whole path', () => {
  test('has one directory per point, the same as if each were written alone', async () => {
    const lambdas = [0, 0.25, 0.9]
    const { output, points } = await run({ lambda: undefined, lambdas, path: 'ties', density: 0.5 })
    expect(points.map(({ lambda }) => lambda)).toEqual(lambdas)
    for (const [k, { lambda, dir }] of points.entries()) {
      expect(dir).toBe(join(output, `point-0${k + 1}`))
      const alone = await run({ lambda, path: 'ties', density: 0.5 })
      expect(listing(dir)).toEqual(listing(alone.output))
    }
    expect(JSON.parse(readFileSync(join(output, 'warp.merge.json'), 'utf8')).points).toEqual(
      lambdas.map((lambda, k) => ({ lambda, dir: `point-0${k + 1}` })),
    )
  })

  test('is cut into shards with an index', async () => {
    const whole = await weights((await run({})).output)
    const { output, notes } = await run({ maxShard: 20_000 })
    const index = JSON.parse(readFileSync(join(output, 'model.safetensors.index.json'), 'utf8'))
    const files = readdirSync(output).filter((file) => file.endsWith('.safetensors'))
    expect(files.length).toBeGreaterThan(3)
    expect([...new Set(Object.values(index.weight_map))].sort()).toEqual(files.sort())
    expect(index.metadata.total_size).toBe([...whole.values()].reduce((sum, { bytes }) => sum + bytes.length, 0))
    const parts = await weights(output)
    expect(parts.size).toBe(whole.size)
    for (const [name, { bytes }] of whole) expect(parts.get(name)!.bytes.equals(bytes)).toBe(true)
    expect(notes.length).toBeGreaterThan(0)
  })
  test('does not depend on the number of threads', async () => {
    const all = await Promise.all([1, 3].map((threads) => run({ path: 'della', density: 0.6, threads })))
    expect(listing(all[0].output)).toEqual(listing(all[1].output))
  })
})

function halfValue(word: number): number {
  const [exponent, fraction] = [(word >> 10) & 31, (word & 1023) / 1024]
  return (word >> 15 ? -1 : 1) * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14)
}
function bfloatValue(word: number): number {
  return new Float32Array(Uint32Array.of(word << 16).buffer)[0]
}
