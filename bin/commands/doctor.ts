import type { Command } from 'commander'
import { execute, framed, type FrameOptions } from '../frame.js'

export function register(program: Command): void {
  framed(program.command('doctor'))
    .description('devices and libraries: what would be used, and why not the rest')
    .action((options: FrameOptions) =>
      execute(options, async () => {
        const { listDevices } = await import('../../lib/doctor.js')
        const found = listDevices()
        const gib = (found.memoryBytes / 2 ** 30).toFixed(1)
        return {
          json: found,
          text: [
            `warp ${found.version}, Node ${found.node}, ${found.platform}, ${found.processors.count} × ` +
              `${found.processors.model}, ${gib} GiB`,
            `  cpu   ${found.cpu}`,
            `  cuda  ${found.cuda.compiled ? 'compiled' : 'not compiled'}, ` +
              `${found.cuda.available ? `available: ${found.cuda.name}` : `not available: ${found.cuda.error}`}`,
            `  --device auto takes ${found.auto.device}: ${found.auto.reason}`,
          ],
        }
      }),
    )
}
