import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { automatic } from './footprint/device.js'
import { addon, addonFile } from './native/load.js'
import type { CublasInfo, CudaInfo } from './native/types.js'

export interface Doctor {
  schema: 'warp.doctor/1'
  version: string
  node: string
  platform: string
  processors: { count: number; model: string }
  memoryBytes: number
  /** the kernels that would multiply */
  cpu: string
  cuda: CudaInfo
  cublas: CublasInfo | null
  /** what `--device auto` takes, and why */
  auto: { device: 'cpu' | 'cuda'; reason: string }
}

/** This package's version. */
export function version(): string {
  return (JSON.parse(readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8')) as { version: string })
    .version
}

/** What made a result: `tool` of every result document. */
export interface Tool {
  name: 'warp-recover'
  version: string
  /** the commit it was built from, with `-modified` where the sources were; null outside a clone */
  commit: string | null
  /** the native addon in use, from the package's folder */
  addon: string
  /** `cpu/avx512` … */
  device: string
  /** why that device */
  deviceReason: string
  /** what multiplied matrices: `builtin`, or the name of a library */
  library: string
}

/** This package as the maker of a page. */
export const packageTool = (): Pick<Tool, 'name' | 'version' | 'commit'> => ({
  name: 'warp-recover',
  version: version(),
  commit: commit(),
})

/** This package as the maker of a result on `device`. */
export function toolOf(device: { name: string; reason: string; library: string }): Tool {
  return {
    name: 'warp-recover',
    version: version(),
    commit: commit(),
    addon: addonFile(),
    device: device.name,
    deviceReason: device.reason,
    library: device.library,
  }
}

// written by scripts/esm-wrapper.cjs, the last step of a build
function commit(): string | null {
  try {
    return JSON.parse(readFileSync(path.resolve(__dirname, 'commit.json'), 'utf8')) as string | null
  } catch {
    return null
  }
}

/** What this machine has and what would be used. @throws WarpError ADDON_MISSING, ISA_UNAVAILABLE */
export function listDevices(): Doctor {
  const native = addon()
  const { cuda } = native.info()
  return {
    schema: 'warp.doctor/1',
    version: version(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    processors: { count: os.availableParallelism(), model: os.cpus()[0]?.model ?? '' },
    memoryBytes: os.totalmem(),
    cpu: native.cpuName(),
    cuda,
    cublas: cuda.available ? native.cublasInfo() : null,
    auto: automatic(),
  }
}
