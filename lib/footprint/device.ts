import { usageError, WarpError, refuseUnused } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative, runTask, type RunOptions } from '../native/task.js'
import type { Addon, DeviceRequest } from '../native/types.js'

export interface Device {
  /** `cpu/avx512`, `cuda:0 (NVIDIA H200, f32)` */
  name: string
  reason: string
  /** what multiplies matrices */
  library: string
  notes: string[]
  /** GPUs to score on; none: the CPU */
  request?: DeviceRequest
}

export interface DeviceOptions {
  /** `auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1` */
  device?: string
  /** bytes of each GPU; default: what is available */
  deviceMemory?: number
  /** of products on a GPU; default `f32` */
  precision?: DeviceRequest['precision']
}

/** What devices there are to choose from. */
export type Machine = Pick<Addon, 'cpuName' | 'checkDevices'>

/**
 * What `--device` takes. An explicit device never falls back; `auto` takes the first GPU where that can be used, else
 * the CPU, and says which and why.
 * @throws WarpError (usage) DEVICE_UNKNOWN, PRECISION_UNKNOWN, OPTION_UNUSED; (resource) CUDA_NOT_COMPILED,
 *   CUDA_NO_DEVICE, CUDA_DRIVER_TOO_OLD, CUDA_ARCH, CUBLAS_MISSING, CUDA_DEVICE_LOST
 */
export async function chooseDevice(
  options: DeviceOptions,
  { signal }: RunOptions = {},
  machine: Machine = addon(),
): Promise<Device> {
  const { device: asked = 'auto', deviceMemory = 0, precision = 'f32' } = options
  if (!['f32', 'tf32', 'bf16'].includes(precision)) {
    throw usageError(
      'PRECISION_UNKNOWN',
      `there is no precision ${JSON.stringify(precision)}`,
      { expected: ['f32', 'tf32', 'bf16'] },
      'f32, tf32 or bf16',
    )
  }
  if (asked === 'cpu') {
    const unused = { deviceMemory: deviceMemory || undefined, precision: precision === 'f32' ? undefined : precision }
    refuseUnused(unused, 'on the CPU')
    return { name: machine.cpuName(), reason: 'asked for', library: 'builtin', notes: [] }
  }
  const gpus = async (indices: number[], reason: string): Promise<Device> => {
    const { names, library } = await runTask(() => machine.checkDevices(indices), 'devices', 'devices', { signal })
    return {
      name: `cuda:${indices.join(',')} (${[...new Set(names)].join(', ')}, ${precision})`,
      reason,
      library,
      notes: [],
      request: { indices, precision, memory: deviceMemory },
    }
  }
  if (asked === 'auto') {
    const taken = await gpus([0], 'a GPU that can be used').catch((error: unknown) => cpuInstead(error, machine))
    const notes = [`device: ${taken.name} (${taken.reason})`]
    if (!taken.request && precision !== 'f32') notes.push(`precision ${precision} is of a GPU: the CPU computes in f32`)
    return { ...taken, notes }
  }
  const match = /^cuda(?::(\d+(?:,\d+)*))?$/.exec(asked)
  const indices = (match?.[1] ?? '0').split(',').map(Number)
  if (!match || new Set(indices).size < indices.length) {
    throw usageError(
      'DEVICE_UNKNOWN',
      `there is no device ${JSON.stringify(asked)}`,
      { expected: ['auto', 'cpu', 'cuda', 'cuda:N', 'cuda:N,M'] },
      'auto, cpu, cuda or cuda:N',
    )
  }
  return gpus(indices, 'asked for')
}

/**
 * The CPU in the place of the GPU that `auto` would have taken, because of `error`; throws what is no matter of
 * resources.
 */
function cpuInstead(error: unknown, machine: Machine): Device {
  if (!(error instanceof WarpError) || error.kind !== 'resource') throw error
  const name = machine.cpuName()
  const reason = `no GPU: ${error.message}`
  return { name, reason, library: 'builtin', notes: [`device: ${name} (${reason})`] }
}

/** `attempt` on the device; where `auto` took a GPU and what it needs is not there, on the CPU. */
export async function attemptOn<T>(
  device: Device,
  { device: asked = 'auto' }: DeviceOptions,
  attempt: (request?: DeviceRequest) => Promise<T>,
  machine: Machine = addon(),
): Promise<{ device: Device; result: T }> {
  try {
    return { device, result: await attempt(device.request) }
  } catch (error) {
    if (asked !== 'auto' || !device.request) throw error
    const cpu = cpuInstead(error, machine)
    return { device: cpu, result: await attempt() }
  }
}

/** What `auto` takes before it knows the job. */
export function automatic(): { device: 'cpu' | 'cuda'; reason: string } {
  try {
    callNative(() => addon().requireCuda(0))
    return { device: 'cuda', reason: 'a GPU that can be used' }
  } catch (error) {
    return { device: 'cpu', reason: cpuInstead(error, addon()).reason }
  }
}
