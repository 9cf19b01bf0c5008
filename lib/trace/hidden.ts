// What calibration on synthetic training sets cannot know where tokens have scores instead of states.
import type { Calibrated } from './calibrate.js'

/** Quantile of the normal distribution that the 90 % intervals end at. */
const quantile = 1.6448536
/**
 * Of the training texts so many may not show, drawn by chance: a row that was trained in the last steps hardly differs
 * from an untrained one. A quarter to a third did not in the language models of benchmarks/results/trace.md that saw
 * each text once; whether a text shows goes with its words too, so a half is taken.
 */
const hidden = 1 / 2
/**
 * Deviation of the logarithm of the number of texts that comes with the kinds of score: how many tokens look untrained
 * follows from a line that scores only roughly keep to (the same language models: 13 % too low to 12 % too high).
 */
const roughly = 0.07

/**
 * How many trained tokens look untrained depends on the course of the training (a falling learning rate hides more):
 * nothing bounds the texts from above. Errors of
 * scores are not as independent as those the trials draw: nothing bounds how many texts are inside. The texts that show
 * are a sample of all of them: to the variance of a share p comes p (1 − p) / texts for the part that is hidden.
 * @param possible texts that may have been trained on
 */
export function unbounded(calibrated: Calibrated, possible: number): Calibrated {
  const { mixture, interval, texts, textsInterval, expectedError } = calibrated
  const deviations = Array.from(mixture, (share) => {
    const p = (share * texts + 0.5) / (texts + 1)
    return Math.sqrt((hidden * p * (1 - p)) / Math.max(1, texts))
  })
  const mean = deviations.reduce((sum, deviation) => sum + deviation, 0) / deviations.length
  return {
    ...calibrated,
    textsInterval: [
      texts === 0 ? 0 : texts * Math.exp(-Math.hypot(Math.log(texts / textsInterval[0]), quantile * roughly)),
      null,
    ],
    insideInterval: [0, possible],
    interval: interval.map(([low, high], d) => {
      const share = mixture[d],
        half = Math.hypot(Math.max(share - low, high - share), quantile * deviations[d])
      return [Math.max(0, share - half), Math.min(1, share + half)]
    }),
    // of a normal error the mean size is √(2/π) deviations
    expectedError: Math.hypot(expectedError, mean * Math.sqrt(2 / Math.PI)),
  }
}
