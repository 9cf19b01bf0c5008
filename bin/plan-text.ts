// What --dry-run prints of a run that scores probes.
import type { FootprintPlan } from '../lib/footprint/index.js'
import { printable } from '../lib/printable.js'

export function planText(plan: FootprintPlan): string[] {
  const mib = (n: number): string => `${Math.ceil(n / 2 ** 20)} MiB`
  return [
    `${plan.probes} probes of ${plan.domains.length} domains, ${plan.tokens} tokens, ${plan.points} points and ` +
      'both ends',
    `  memory  ${mib(plan.peakMemoryBytes)} at the peak, ${mib(plan.workingMemoryBytes)} of it working buffers (at ` +
      `least ${mib(plan.smallestMemoryBytes)}), ${plan.chunks} chunk${plan.chunks === 1 ? '' : 's'}`,
    ...(plan.deviceMemoryBytes > 0 ? [`  device  ${mib(plan.deviceMemoryBytes)} at the peak, on each GPU`] : []),
    `  work    ${(plan.flops / 1e12).toFixed(2)} ` +
      `TFLOP${plan.estimatedSeconds === null ? '' : `, about ${Math.ceil(plan.estimatedSeconds)} s`} on ${plan.device}`,
    ...plan.notes.map((note) => `  note: ${printable(note, 1000)}`),
  ]
}
