import { chooseDevice } from '../../lib/footprint/device.js'
import { addon } from '../../lib/native/load.js'
import { fromNative } from '../../lib/native/task.js'
import type { WarpError } from '../../lib/errors.js'

const { cuda } = addon().info()

test('info says whether CUDA is compiled in and, when it cannot be used, why', () => {
  expect(Object.keys(cuda).sort()).toEqual(
    ['archs', 'available', 'compiled', 'devices', 'driver', 'error', 'name', 'runtime'])
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

describe('--device', () => {
  test.each(['gpu', 'cuda:', 'cuda:x', 'cuda:0,0', 'cpu:1', ''])('%j is refused', (device) => {
    expect(() => chooseDevice({ device })).toThrow(expect.objectContaining({ kind: 'usage', code: 'DEVICE_UNKNOWN' }))
  })

  test('a precision that is none is refused', () => {
    expect(() => chooseDevice({ device: 'cpu', precision: 'f8' as 'f32' })).toThrow(expect.objectContaining({ code: 'PRECISION_UNKNOWN' }))
  })

  test('auto takes the CPU and says why; cpu needs no reason', () => {
    const auto = chooseDevice({})
    expect(auto).toMatchObject({ name: addon().cpuName(), notes: [`device: ${auto.name} (${auto.reason})`] })
    expect(auto.reason).toContain(cuda.available ? '--device cuda' : cuda.error)
    expect(chooseDevice({ device: 'cpu' }).notes).toEqual([])
  })

  test('an explicit GPU never falls back: every one of several must be there', () => {
    expect(() => chooseDevice({ device: `cuda:${cuda.devices},${cuda.devices + 1}` })).toThrow(expect.objectContaining({ kind: 'resource' }))
  })
})
