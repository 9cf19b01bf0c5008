export { loadProjector, projectorSchema, saveProjector } from '../readouts/projector.js'
export type { Projector, ProjectorDocument } from '../readouts/projector.js'
export { foldsText } from './crossval.js'
export { fitProjectors, projectorFile } from './fit-projectors.js'
export type { FitOptions } from './fit-projectors.js'
export { checkPool, drawTexts, realisedCounts, sampleMixtures } from './mixtures.js'
export type { MixtureOptions, Sampler } from './mixtures.js'
export { labReportSchema, reportTable } from './report.js'
export type { LabReport, LabRow, Reported, ReportOptions } from './report.js'
export { labTable, trialsCsv } from './report-text.js'
export {
  failedTrial,
  readTrial,
  readTrials,
  statisticsToTrial,
  trialFile,
  trialSchema,
  writeTrial,
} from './trial-record.js'
export type { Trial, TrialFacts, TrialFootprint, TrialMembership, TrialPath } from './trial-record.js'
export { taskCommand, type Executor, type ExecutorRun, type TaskEnd } from './executor.js'
export { LocalExecutor } from './executor-local.js'
export { SlurmExecutor } from './executor-slurm.js'
export { readPlan, trialsFolder, type LabPlan } from './plan.js'
export { planLab, type LabPlanOptions } from './make-plan.js'
export { planRun, runLab, type LabRunOptions, type LabRunPlan, type LabRunResult } from './run-lab.js'
export { runTrial, type TrialOptions } from './run-trial.js'
