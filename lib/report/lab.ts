// The page of `warp lab report`.
import type { LabPlan, LabReport, LabRow } from '../lab/index.js'
import { barChart } from './bars.js'
import { htmlPage, list, section, wordTable } from './page.js'
import { commandLine, modelName } from './provenance.js'
import { grid, type NumberRow } from './tables.js'

export interface LabPage {
  report: LabReport
  /** by row of the report's table and by trial: mean absolute error, null where the readout did not apply */
  errors: readonly (readonly (number | null)[])[]
  plan: LabPlan
  tool: { name: string; version: string; commit?: string | null }
  /** the lab's folder, and the options of the report as given */
  folder: string
  options: Record<string, unknown>
  /** default: now */
  date?: Date
}

const nameOf = ({ readout, path, oracle }: LabRow): string =>
  `${readout}${path === null ? '' : ` (${path})`}${oracle ? ', oracle' : ''}`
const points = (error: number): string => `${(100 * error).toFixed(2)} points`
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** Mean of a difference between two rows over the trials that both have, and half its 90 % interval. */
function paired(a: readonly (number | null)[], b: readonly (number | null)[]): { mean: number; half: number } {
  const all = a.flatMap((value, i) => (value === null || b[i] === null ? [] : [value - b[i]]))
  const middle = mean(all)
  const variance = all.reduce((sum, value) => sum + (value - middle) ** 2, 0) / Math.max(1, all.length - 1)
  return { mean: middle, half: all.length < 2 ? Infinity : 1.645 * Math.sqrt(variance / all.length) }
}

/** The report as one page. */
export function labPage({ report, errors, plan, tool, folder, options, date }: LabPage): string {
  const { table, trials, domains, folds, seed } = report
  const honest = table.map((row, i) => ({ row, i })).filter(({ row }) => !row.oracle)
  const best = honest.reduce((least, one) => (one.row.mae < least.row.mae ? one : least))
  const uniform = honest.find(({ row }) => row.readout === 'uniform')
  const against = uniform && uniform !== best ? paired(errors[best.i], errors[uniform.i]) : undefined
  const clear = against !== undefined && against.mean + against.half < 0
  const told = uniform && uniform !== best ? `; equal shares err by ${points(uniform.row.mae)}` : ''
  return htmlPage({
    title: `How far each readout errs on ${trials.length} models trained from ${modelName(plan.base.path)}`,
    answer: `${nameOf(best.row)} errs least: a share by ${points(best.row.mae)} on average${told}.`,
    verdict: {
      word: clear ? 'better than equal shares' : 'no better than equal shares',
      kind: clear ? 'ok' : 'weak',
      guarantee:
        'the errors are of models whose mixtures were drawn here and are known; the least of several errors is a ' +
        'little ' +
        'better than it will be again, and other bases, domains and recipes may give others.',
      reasons: against && [
        `Against equal shares on the same trials: ${points(against.mean)} on average, ` +
          (Number.isFinite(against.half) ? `give or take ${points(against.half)} (90 %).` : 'of one trial alone.'),
      ],
    },
    sections: [
      section('Error of every readout', errorBars(report) + measures(report)),
      section('Trial by trial', byTrial(report, errors) + truths(report)),
      report.notes.length > 0 ? section('Notes', list(report.notes)) : '',
      section(
        'Trials that failed',
        list(report.failed.map(({ index, code, message }) => `${index}: ${code}, ${message}`)),
      ),
    ],
    how: [
      `${trials.length} mixtures of ${domains.length} domains were drawn, and a model fine-tuned on texts of each.`,
      'Each model is footprinted like one whose mixture is unknown, with probes that it was not trained on.',
      'Every readout gives its shares; the error is the mean difference to the true shares over the domains.',
      `Trained readouts are judged on trials they were not fitted to, by ${folds}-fold cross-validation (seed ` +
        `${seed}).`,
      'A row marked oracle chose a setting with the answers known: a bound, not a method.',
    ],
    limits: [
      'The trials share base, texts and recipe: how errors change with those is not in the intervals.',
      'Intervals are those of a mean over the trials; a single mixture errs by as much as the deviations show.',
    ],
    provenance: {
      date,
      command: commandLine(['lab', 'report', folder], options),
      tool,
      facts: [['seeds', `of the plan ${plan.seed}, of the folds ${seed}`]],
      files: plan.base.files.map(({ path, size, sha256 }) => ({ role: 'base', path, size, sha256 })),
      notes: [
        `Texts: ${plan.data.texts} of ${plan.data.files.length} files, SHA-256 of what was read ${plan.data.sha256}.`,
        `Plan: SHA-256 ${plan.digest}.`,
      ],
    },
    result: report,
  })
}

function errorBars({ table }: LabReport): string {
  const bars = table.map((row) => {
    const half = (1.645 * row.maeSd) / Math.sqrt(row.trials)
    return { name: nameOf(row), value: row.mae, low: Math.max(0, row.mae - half), high: row.mae + half }
  })
  return barChart(bars, {
    caption: 'Mean error of a share, with the 90 % interval of this mean over the trials',
    head: ['readout', 'error', 'interval'],
    format: (value) => (100 * value).toFixed(2),
    file: 'errors.csv',
    many: 'readouts',
    order: 'least',
  })
}

function measures({ table }: LabReport): string {
  return grid(
    table.map((row) => ({
      name: nameOf(row),
      values: [row.mae, row.maeSd, row.mse, row.coverage ?? null, row.trials],
    })),
    {
      caption:
        'Mean absolute error over the trials with its deviation, mean squared error, and the share of true shares ' +
        'in their 90 % intervals',
      corner: 'readout',
      columns: ['MAE', 'sd', 'MSE', 'covered', 'trials'],
      format: (value) => (Number.isInteger(value) && value > 0 ? String(value) : value.toFixed(4)),
      file: 'table.csv',
      many: 'readouts',
    },
  )
}

/** Readouts whose errors stand beside each other for each trial. */
const mostShown = 6

function byTrial({ table, trials }: LabReport, errors: LabPage['errors']): string {
  const shown = table
    .map((row, i) => ({ row, i }))
    .filter(({ row }) => !row.oracle)
    .sort((a, b) => a.row.mae - b.row.mae)
    .slice(0, mostShown)
  return grid(
    trials.map(({ index }, t): NumberRow => ({ name: `trial ${index}`, values: shown.map(({ i }) => errors[i][t]) })),
    {
      caption: 'Mean error of a share, in points; the readouts that err least',
      corner: 'trial',
      columns: shown.map(({ row }) => nameOf(row)),
      format: (value) => (100 * value).toFixed(1),
      heat: true,
      file: 'errors-by-trial.csv',
      many: 'trials',
    },
  )
}

function truths({ trials, domains }: LabReport): string {
  return `<details><summary>The true mixtures</summary>${grid(
    trials.map(({ index, truth }) => ({ name: `trial ${index}`, values: truth })),
    {
      caption: 'True shares in %',
      corner: 'trial',
      columns: domains,
      format: (share) => (100 * share).toFixed(1),
      heat: true,
      file: 'truth.csv',
      many: 'trials',
    },
  )}</details>${wordTable([['domains', domains.join(', ')]])}`
}
