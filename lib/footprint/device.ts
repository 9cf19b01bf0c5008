import { resourceError, usageError } from '../errors.js'
import { addon } from '../native/load.js'
import { callNative } from '../native/task.js'

/** What `--device` takes. An explicit device never falls back; `auto` says what it took and why. */
export function chooseDevice(asked = 'auto'): { name: string; reason: string; notes: string[] } {
  const cpu = addon().cpuName()
  if (asked === 'cpu') return { name: cpu, reason: 'asked for', notes: [] }
  if (asked === 'auto') {
    const { cuda } = addon().info()
    const reason = cuda.available ? 'scoring on CUDA devices is not offered yet' : `no CUDA device: ${cuda.error}`
    return { name: cpu, reason, notes: [`device: ${cpu} (${reason})`] }
  }
  const match = /^cuda(?::(\d+))?$/.exec(asked)
  if (!match) throw usageError('DEVICE_UNKNOWN', `there is no device ${JSON.stringify(asked)}`, { expected: ['auto', 'cpu', 'cuda', 'cuda:N'] }, 'auto, cpu, cuda or cuda:N')
  callNative(() => addon().requireCuda(Number(match[1] ?? 0)))
  throw resourceError('CUDA_SCORING_UNAVAILABLE', 'this build does not score on CUDA devices', {}, '--device cpu')
}
