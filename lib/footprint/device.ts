import { resourceError, usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'

export interface Device {
  name: string
  reason: string
  /** what multiplies matrices */
  library: string
  notes: string[]
}

/** What `--device` takes. An explicit device never falls back; `auto` says what it took and why. */
export function chooseDevice(asked = 'auto'): Device {
  const cpu = addon().cpuName()
  if (asked === 'cpu') return { name: cpu, reason: 'asked for', library: 'builtin', notes: [] }
  if (asked === 'auto') {
    const { cuda } = addon().info()
    const reason = cuda.available ? 'scoring on CUDA devices is not offered yet' : `no CUDA device: ${cuda.error}`
    return { name: cpu, reason, library: 'builtin', notes: [`device: ${cpu} (${reason})`] }
  }
  const match = /^cuda(?::(\d+))?$/.exec(asked)
  if (!match) throw usageError('DEVICE_UNKNOWN', `there is no device ${JSON.stringify(asked)}`, { expected: ['auto', 'cpu', 'cuda', 'cuda:N'] }, 'auto, cpu, cuda or cuda:N')
  callNative(() => addon().requireCuda(Number(match[1] ?? 0)))
  throw resourceError('CUDA_SCORING_UNAVAILABLE', 'this build does not score on CUDA devices', {}, '--device cpu')
}
