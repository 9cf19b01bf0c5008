import picocolors from 'picocolors'
import { printable } from '../printable.js'
import { safeName, tableBlocks, wrap } from '../report/columns.js'
import { foldsText } from './crossval.js'
import { errorsOf, type LabReport, type Reported } from './report.js'

export interface TableOptions {
  /** with ANSI colours; default false */
  color?: boolean
  /** columns; default 100 */
  width?: number
}

/** The report as a table for people; the least error of the readouts that did not peek stands out. */
export function labTable(report: LabReport, { color = false, width = 100 }: TableOptions = {}): string {
  const paint = picocolors.createColors(color)
  const { table, trials, failed, folds, seed, domains, notes } = report
  const least = Math.min(...table.filter(({ oracle }) => !oracle).map(({ mae }) => mae))
  const lines = [`${paint.bold('Error of every readout')}  ${trials.length} trials, ${domains.length} domains`, '']
  const cells = table.map(({ readout, path, mae, maeSd, mse, mseSd, trials: n, coverage, oracle }) => [
    `${readout}${oracle ? ' (oracle)' : ''}`,
    path === null ? '–' : safeName(path, 20),
    mae.toFixed(4),
    maeSd.toFixed(4),
    mse.toFixed(5),
    mseSd.toFixed(5),
    String(n),
    typeof coverage === 'number' ? `${(100 * coverage).toFixed(0)} %` : '–',
  ])
  tableBlocks(['readout', 'path', 'MAE', '± sd', 'MSE', '± sd', 'trials', 'covered'], cells, width - 2).forEach(
    ([head, ...rows], block) => {
      if (block > 0) lines.push('')
      lines.push(`  ${paint.dim(head)}`)
      rows.forEach((line, i) => {
        const best = table[i].mae === least && !table[i].oracle
        lines.push(`  ${best ? paint.bold(line) : table[i].oracle ? paint.dim(line) : line}`)
      })
    },
  )
  const remarks = [
    `mlp and equivariant by ${foldsText(folds, trials.length)}, seed ${seed}, settings chosen inside the training ` +
      'folds',
    'means and standard deviations over trials; a row marked oracle chose its setting with the answers known',
    ...(table.some(({ coverage }) => typeof coverage === 'number')
      ? ['covered: how many of the true shares lie in the 90 % intervals that `warp recover` gives']
      : []),
    ...notes,
    ...failed.map(({ index, code, message }) => `trial ${index} failed: ${code}, ${message}`),
  ]
  lines.push(
    '',
    ...remarks.flatMap((text) => wrap(printable(text, 1000), width - 2).map((line) => `  ${paint.dim(line)}`)),
  )
  return `${lines.join('\n')}\n`
}

/** One line per trial and row of the table: errors, true shares, estimated shares. RFC 4180, in UTF-8. */
export function trialsCsv({ report, estimates }: Reported): string {
  const { domains, trials } = report
  const head = [
    'trial',
    'fold',
    'readout',
    'path',
    'oracle',
    'mae',
    'mse',
    ...domains.map((name) => `true ${name}`),
    ...domains.map((name) => `estimated ${name}`),
  ]
  const rows = estimates.flatMap((row) =>
    errorsOf(
      row,
      trials.map(({ truth }) => truth),
    ).flatMap((error, i) =>
      error
        ? [
            [
              trials[i].index,
              trials[i].fold,
              row.readout,
              row.path ?? '',
              row.oracle,
              error.mae,
              error.mse,
              ...trials[i].truth,
              ...Array.from(row.shares[i]!),
            ],
          ]
        : [],
    ),
  )
  return [head, ...rows].map((cells) => `${cells.map(quoted).join(',')}\r\n`).join('')
}

function quoted(cell: string | number | boolean): string {
  const text = String(cell)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
