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
