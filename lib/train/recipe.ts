import { z } from 'zod'
import { inputError, usageError } from '../errors.js'
import type { Group } from '../models/facts.js'
import type { Kinds } from '../options.js'

const positive = z.number().positive()
const count = z.int().positive()
const rate = z.number().min(0).lt(1)

/** How a model is fine-tuned. Defaults: AdamW as in PyTorch, constant rate 5e-5, 3 epochs of batches of 32. */
const schema = z.strictObject({
  epochs: count.default(3),
  /** texts of one pass */
  batch: count.default(32),
  /** passes of one step; the loss is the mean over all its texts */
  accumulate: count.default(1),
  optimizer: z.enum(['adamw', 'adam']).default('adamw'),
  learningRate: positive.default(5e-5),
  beta1: rate.default(0.9),
  beta2: rate.default(0.999),
  epsilon: positive.default(1e-8),
  /** decoupled for adamw (default .01), added to the gradient for adam (default 0) */
  weightDecay: z.number().min(0).optional(),
  /** largest norm of the gradient; 0: any */
  clip: z.number().min(0).default(0),
  /** linear: down to 0 at the last step */
  schedule: z.enum(['constant', 'linear']).default('constant'),
  /** steps over which the rate rises linearly */
  warmup: z.int().min(0).default(0),
  /** one rate for every place; default: those of the model's configuration */
  dropout: rate.optional(),
  /** `all`, `head` (what follows the last layer), `last:N` (the head and the last N layers) */
  layers: z
    .string()
    .regex(/^(all|head|last:[1-9]\d*)$/, 'all, head or last:N is needed')
    .default('all'),
  /** patterns of tensor names that keep the base's values; `*` stands for anything */
  freeze: z.array(z.string().min(1)).default([]),
  /** in tokens, special ones included; default 256, at most the model's positions */
  maxLength: count.optional(),
  /** language models: texts of a domain one after the other, the end token between, in windows of so many tokens */
  pack: z.int().min(2).optional(),
  /** of the order of texts, dropout and a new head */
  seed: z.int().min(0).default(0),
})

export type RecipeOptions = z.input<typeof schema>
export type Recipe = z.output<typeof schema> & { weightDecay: number }

/** Fills in the defaults. @throws WarpError (input) RECIPE_INVALID, naming the key */
export function parseRecipe(options: unknown): Recipe {
  const parsed = schema.safeParse(options)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const key = issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.')
    throw inputError(
      'RECIPE_INVALID',
      `recipe: ${key === '' ? '' : `${key}: `}${issue.message}`,
      { field: key },
      `the keys are ${Object.keys(schema.shape).join(', ')}`,
    )
  }
  const { weightDecay = parsed.data.optimizer === 'adamw' ? 0.01 : 0 } = parsed.data
  const all: Record<string, unknown> = { ...parsed.data, weightDecay }
  // in the order of the schema, whatever was given: recipes are hashed as JSON
  const given = Object.keys(schema.shape).filter((key) => all[key] !== undefined)
  return Object.fromEntries(given.map((key) => [key, all[key]])) as Recipe
}

/** The names of a recipe's options. */
export const recipeKeys = Object.keys(schema.shape) as (keyof RecipeOptions)[]
/** parseRecipe checks what they are. */
export const recipeKinds = Object.fromEntries(recipeKeys.map((key) => [key, 'any'])) as Kinds<RecipeOptions>

/** What among other options is a recipe's. */
export const recipeOf = (options: RecipeOptions): RecipeOptions =>
  Object.fromEntries(Object.entries(options).filter(([key, value]) => key in schema.shape && value !== undefined))

/** The last step of an epoch may have fewer texts. */
export const stepsPerEpoch = ({ batch, accumulate }: Recipe, texts: number): number =>
  Math.ceil(texts / (batch * accumulate))

/** Of a whole training. */
export const stepsOf = (recipe: Recipe, texts: number): number => recipe.epochs * stepsPerEpoch(recipe, texts)

/**
 * The learning rate of step `step` of `total`, from 0, as get_linear_schedule_with_warmup and its constant twin have
 * it.
 */
export function rateAt({ learningRate, schedule, warmup }: Recipe, step: number, total: number): number {
  if (step < warmup) return (learningRate * step) / Math.max(1, warmup)
  if (schedule === 'constant') return learningRate
  return learningRate * Math.max(0, (total - step) / Math.max(1, total - warmup))
}

/**
 * The tensors that are trained, of all that a model with `layers` layers has, by canonical name.
 * @throws WarpError (usage) FREEZE_UNMATCHED, NOTHING_TO_TRAIN, LAYERS_RANGE
 */
export function trainableNames(
  { layers: choice, freeze }: Recipe,
  groups: ReadonlyMap<string, Group>,
  layers: number,
): string[] {
  const names = [...groups.keys()]
  const last = choice === 'all' ? layers : choice === 'head' ? 0 : Number(choice.slice(5))
  if (last > layers)
    throw usageError(
      'LAYERS_RANGE',
      `--layers ${choice}: the model has ${layers} layers`,
      { found: last, expected: layers },
      `last:${layers}, or all`,
    )
  const patterns = freeze.map(
    (glob) =>
      new RegExp(
        `^${glob
          .split('*')
          .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
          .join('.*')}$`,
      ),
  )
  patterns.forEach((pattern, i) => {
    if (!names.some((name) => pattern.test(name))) {
      throw usageError(
        'FREEZE_UNMATCHED',
        `--freeze ${freeze[i]}: no tensor has such a name`,
        { found: freeze[i] },
        `names are like ${names[0]}; * stands for anything`,
      )
    }
  })
  const chosen = names.filter((name) => {
    const group = groups.get(name)!
    const inside = choice === 'all' || (typeof group === 'number' ? group >= layers - last : group === 'head')
    return inside && !patterns.some((pattern) => pattern.test(name))
  })
  if (chosen.length === 0) throw usageError('NOTHING_TO_TRAIN', 'every tensor is frozen', {}, 'freeze fewer of them')
  return chosen
}
