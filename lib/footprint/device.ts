import { usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'
import type { DeviceRequest } from '../native/types.js'

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

/**
 * What `--device` takes. An explicit device never falls back; `auto` says what it took and why.
 * @throws WarpError (usage) DEVICE_UNKNOWN, PRECISION_UNKNOWN; (resource) CUDA_NOT_COMPILED, CUDA_NO_DEVICE,
 *   CUDA_DRIVER_TOO_OLD, CUDA_ARCH, CUBLAS_MISSING, CUDA_DEVICE_LOST
 */
export function chooseDevice({ device: asked = 'auto', deviceMemory, precision = 'f32' }: DeviceOptions): Device {
  if (!['f32', 'tf32', 'bf16'].includes(precision)) {
    throw usageError('PRECISION_UNKNOWN', `there is no precision ${JSON.stringify(precision)}`, { expected: ['f32', 'tf32', 'bf16'] }, 'f32, tf32 or bf16')
  }
  const cpu = addon().cpuName()
  if (asked === 'cpu') return { name: cpu, reason: 'asked for', library: 'builtin', notes: [] }
  if (asked === 'auto') {
    const reason = reasonForCpu()
    return { name: cpu, reason, library: 'builtin', notes: [`device: ${cpu} (${reason})`] }
  }
  const match = /^cuda(?::(\d+(?:,\d+)*))?$/.exec(asked)
  const indices = (match?.[1] ?? '0').split(',').map(Number)
  if (!match || new Set(indices).size < indices.length) {
    throw usageError('DEVICE_UNKNOWN', `there is no device ${JSON.stringify(asked)}`, { expected: ['auto', 'cpu', 'cuda', 'cuda:N', 'cuda:N,M'] }, 'auto, cpu, cuda or cuda:N')
  }
  for (const index of indices) callNative(() => addon().requireCuda(index))
  return {
    name: `cuda:${indices.join(',')} (${addon().info().cuda.name}, ${precision})`, reason: 'asked for', library: `cuBLASLt ${addon().cublasInfo().version}`, notes: [],
    request: { indices, precision, memory: deviceMemory ?? 0 },
  }
}

/** Why `auto` takes the CPU. GPU scoring is young: it is used where it is asked for. */
export function reasonForCpu(): string {
  const { cuda } = addon().info()
  return cuda.available ? `a CUDA device (${cuda.name}) is used only when asked for: --device cuda` : `no CUDA device: ${cuda.error}`
}
