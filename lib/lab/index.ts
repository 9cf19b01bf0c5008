export { failedTrial, readTrial, readTrials, statisticsToTrial, trialFile, trialSchema } from './trial.js'
export type { Trial, TrialFacts, TrialFootprint, TrialMembership, TrialPath } from './trial.js'
