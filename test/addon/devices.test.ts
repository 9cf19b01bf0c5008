import { attemptOn, automatic, chooseDevice, type Machine } from '../../lib/footprint/device.js'
import { addon } from '../../lib/native/load.js'
import { fromNative } from '../../lib/native/task.js'
import { WarpError } from '../../lib/errors.js'

const { cuda } = addon().info()

test('info says whether CUDA is compiled in and, when it cannot be used, why', () => {
  expect(Object.keys(cuda).sort()).toEqual([
    'archs',
    'available',
    'compiled',
    'devices',
    'driver',
    'error',
    'name',
    'runtime',
  ])
  expect(cuda.available).toBe(cuda.devices > 0)
  expect(cuda.error === '').toBe(cuda.available)
  expect(cuda.archs !== '').toBe(cuda.compiled)
  if (!cuda.compiled) expect(cuda.error).toBe('built without CUDA')
  else expect(cuda.runtime).toBeGreaterThanOrEqual(12000)
})

test('a device that cannot be used is a resource error with its own code and a hint', () => {
  let thrown: unknown
  try {
    addon().requireCuda(cuda.devices)
  } catch (error) {
    thrown = fromNative(error)
  }
  const code = !cuda.compiled ? 'CUDA_NOT_COMPILED' : expect.stringMatching(/^CUDA_(NO_DEVICE|DRIVER_TOO_OLD)$/)
  expect(thrown).toMatchObject({ kind: 'resource', exitCode: 4, code })
  expect((thrown as WarpError).hint).not.toBe('')
})

// A machine with GPUs, as far as choosing one goes.
const machine = (gpus: string[], failure?: { code: string; message: string }): Machine => ({
  cpuName: () => 'cpu/some',
  checkDevices: (indices) => ({
    cancel: () => {},
    promise:
      failure || indices.some((i) => i >= gpus.length)
        ? Promise.reject(
            Object.assign(new Error(failure?.message ?? 'there is no such device'), {
              kind: 'resource',
              code: failure?.code ?? 'CUDA_NO_DEVICE',
              hint: 'look',
            }),
          )
        : Promise.resolve({ names: indices.map((i) => gpus[i]), library: 'cuBLASLt 130101' }),
  }),
})

describe('--device', () => {
  test.each(['gpu', 'cuda:', 'cuda:x', 'cuda:0,0', 'cpu:1', ''])('%j is refused', async (device) => {
    await expect(chooseDevice({ device })).rejects.toMatchObject({ kind: 'usage', code: 'DEVICE_UNKNOWN' })
  })

  test('a precision that is none is refused', async () => {
    await expect(chooseDevice({ device: 'cpu', precision: 'f8' as 'f32' })).rejects.toMatchObject({
      code: 'PRECISION_UNKNOWN',
    })
  })

  test('auto takes what this machine has and says why; cpu needs no reason', async () => {
    const auto = await chooseDevice({})
    expect(auto.notes).toEqual([`device: ${auto.name} (${auto.reason})`])
    if (!cuda.available)
      expect(auto).toMatchObject({
        name: addon().cpuName(),
        library: 'builtin',
        reason: expect.stringMatching(/^no GPU: /),
      })
    expect(automatic()).toEqual({ device: auto.request ? 'cuda' : 'cpu', reason: auto.reason })
    expect((await chooseDevice({ device: 'cpu' })).notes).toEqual([])
  })

  test('auto takes the first GPU where there is one; the name has device and precision', async () => {
    expect(await chooseDevice({ precision: 'tf32', deviceMemory: 5 }, {}, machine(['A', 'B']))).toEqual({
      name: 'cuda:0 (A, tf32)',
      reason: 'a GPU that can be used',
      library: 'cuBLASLt 130101',
      notes: ['device: cuda:0 (A, tf32) (a GPU that can be used)'],
      request: { indices: [0], precision: 'tf32', memory: 5 },
    })
  })

  test.each(['CUDA_NO_DEVICE', 'CUDA_DRIVER_TOO_OLD', 'CUDA_ARCH', 'CUBLAS_MISSING', 'CUDA_OUT_OF_MEMORY'])(
    'auto takes the CPU after %s and says so; explicit does not',
    async (code) => {
      const broken = machine(['A'], { code, message: 'it is broken' })
      expect(await chooseDevice({}, {}, broken)).toEqual({
        name: 'cpu/some',
        reason: 'no GPU: it is broken',
        library: 'builtin',
        notes: ['device: cpu/some (no GPU: it is broken)'],
      })
      await expect(chooseDevice({ device: 'cuda' }, {}, broken)).rejects.toMatchObject({
        kind: 'resource',
        code,
        hint: 'look',
      })
    },
  )

  test('a job that does not fit the GPU goes to the CPU under auto, and fails under an explicit device', async () => {
    const gpu = await chooseDevice({}, {}, machine(['A']))
    const tooSmall = new WarpError('resource', 'DEVICE_MEMORY_BUDGET', 'too little', {}, 'more')
    const attempt = async (request?: object) => {
      if (request) throw tooSmall
      return 'done'
    }
    expect(await attemptOn(gpu, {}, attempt, machine(['A']))).toEqual({
      result: 'done',
      device: {
        name: 'cpu/some',
        reason: 'no GPU: too little',
        library: 'builtin',
        notes: ['device: cpu/some (no GPU: too little)'],
      },
    })
    expect(await attemptOn(gpu, {}, async () => 1, machine(['A']))).toEqual({ device: gpu, result: 1 })
    await expect(attemptOn(gpu, { device: 'cuda' }, attempt, machine(['A']))).rejects.toBe(tooSmall)
    const aborted = new DOMException('stop', 'AbortError')
    await expect(attemptOn(gpu, {}, () => Promise.reject(aborted), machine(['A']))).rejects.toBe(aborted)
  })

  test('what is no matter of resources is not hidden by auto', async () => {
    const bug = {
      ...machine(['A']),
      checkDevices: () => ({ cancel: () => {}, promise: Promise.reject(new Error('a bug')) }),
    }
    await expect(chooseDevice({}, {}, bug)).rejects.toThrow('a bug')
  })

  test('several GPUs by number; every one of them must be there', async () => {
    expect(await chooseDevice({ device: 'cuda:1,0' }, {}, machine(['A', 'B']))).toMatchObject({
      name: 'cuda:1,0 (B, A, f32)',
      reason: 'asked for',
      request: { indices: [1, 0] },
    })
    expect(await chooseDevice({ device: 'cuda:1' }, {}, machine(['A', 'B']))).toMatchObject({ name: 'cuda:1 (B, f32)' })
    await expect(chooseDevice({ device: 'cuda:1,2' }, {}, machine(['A', 'B']))).rejects.toMatchObject({
      code: 'CUDA_NO_DEVICE',
    })
    await expect(chooseDevice({ device: `cuda:${cuda.devices},${cuda.devices + 1}` })).rejects.toMatchObject({
      kind: 'resource',
    })
  })
})
