// Options that recover and footprint share: the pair, the probes, the path, resources.
import { Option, type Command } from 'commander'
import type { ProbeSource } from '../lib/text/index.js'
import type { FootprintOptions } from '../lib/footprint/index.js'
import { pathGroup, under } from './groups.js'
import { baseHead, bytes, integer, list, real, reals } from './values.js'

/** Everything that options name as inputs. */
export function inputsOf({ probes, data, texts, corpus, labelMap, claimed, ...more }: InputFlags): string[] {
  const { model, base, reference, tokenizer, checkpoint, projector, prompts } = more
  const named = [labelMap, claimed, prompts].filter((value) => typeof value === 'string')
  const sources = [probes, data, texts, corpus] as (string[] | undefined)[]
  const folders = [model, base, reference, tokenizer, checkpoint]
  return [...folders, projector, ...sources, named].flat().filter((path) => path !== undefined)
}

interface InputFlags {
  model?: string
  base?: string
  reference?: string | string[]
  tokenizer?: string
  /** of the command line: paths */
  probes?: ProbeSource
  data?: ProbeSource
  texts?: string[]
  corpus?: string[]
  checkpoint?: readonly string[]
  projector?: string
  prompts?: unknown
  labelMap?: unknown
  claimed?: unknown
}

export const waitOption = (): Option =>
  new Option('--wait', 'wait for another run that is writing there, instead of refusing')

export interface PairFlags {
  base: string
  reference: string
  baseHead?: FootprintOptions['baseHead']
}

export function pairOptions(command: Command): Command {
  return pairOf(command, '--reference <dir>', 'the fine-tuned model, or a LoRA adapter of the base')
}

/** A base and what was fine-tuned from it. */
export function pairOf(command: Command, reference: string, what: string): Command {
  return command
    .requiredOption('--base <dir>', 'model that was fine-tuned: a folder, or hf:owner/name[@revision]')
    .requiredOption(reference, what)
    .addOption(tokenizerOption())
    .option('--base-head <zeros|seed:N>', 'the head of a base that has none', baseHead)
    .addOption(objectiveOption())
}

/** Adds the options; what the command receives is FootprintOptions, but for `labelMap` and `truncate` as they come. */
export function probeOptions(command: Command): Command {
  return textOptions(command.requiredOption('--probes <file...>', `labelled texts: ${textSources}`))
}

export const textSources =
  '.jsonl .json .csv .tsv .txt (.gz .zst) .parquet, a folder with one file or folder per domain, - for JSONL on stdin'

/** How rows of files become texts. */
export function rowOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--format <name>', 'overrides the extension').choices([
        'jsonl',
        'json',
        'csv',
        'tsv',
        'txt',
        'parquet',
      ]),
    )
    .option('--columns <a,b,c>', 'names for a CSV or TSV without header', list)
    .option('--quotes', 'fields of CSV and TSV stand in quotes (default: CSV yes, TSV where the file agrees)')
    .option('--no-quotes', 'quotes are part of the texts')
    .option('--text <column,...>', 'columns of the text, or values in them: "messages[].content" (default: text)', list)
    .option('--response <column>', 'column that follows the text, which is its prompt (language models; default: none)')
    .option('--label <column>', 'column of the label (default: label)')
}

/** How files of texts are read. */
export function fileOptions(command: Command): Command {
  return rowOptions(command)
    .option('--domain <column>', 'column of the domain (default: domain where there is one, else the label)')
    .option('--label-map <map>', 'raw value to label, "1=World,2=Sports" or a JSON file')
    .option('--skip-invalid', 'leave out and count rows that cannot be used')
    .option('--limit <n>', 'seeded, stratified subsample of n texts', integer(1))
    .option('--per-domain <n>', 'n texts of each domain', integer(1))
}

/** How labelled texts are read; longer ones are cut off. */
export function cutTextOptions(command: Command): Command {
  return fileOptions(command)
    .option('--max-length <tokens>', "special tokens included (default: 256 or the model's positions)", integer(1))
    .option('--drop-unlabeled', 'leave out texts without a label')
}

/** How labelled texts are read. */
export function textOptions(command: Command): Command {
  return cutTextOptions(command).option('--no-truncate', 'refuse longer texts instead of cutting them off')
}

export function pathOptions(command: Command): Command {
  return under(command, pathGroup, addPath)
}

function addPath(command: Command): Command {
  return command
    .option(
      '--path <family>',
      'linear (default), quadratic, slerp, ties, dare, della, breadcrumbs, nearswap, trajectory',
    )
    .option('--points <n>', 'points on the path (default: 15)', integer(1))
    .option('--lambda-min <x>', 'first point (default: 0.05)', real)
    .option('--lambda-max <x>', 'last point (default: 0.95)', real)
    .option('--lambdas <a,b,...>', 'the points themselves', reals)
    .option('--quadratic-c <c>', 'of the quadratic path (default: 0.3)', real)
    .option('--density <share>', 'ties, dare, della, breadcrumbs: the share that is kept (default: 0.9)', real)
    .option('--epsilon <e>', 'della: keep probabilities lie within density ± e (default: 0.1)', real)
    .option('--gamma <share>', 'breadcrumbs: the share of the largest that is dropped (default: 0.01)', real)
    .option('--rescale <how>', 'dare, della: inverse-density, l1, none (default: inverse-density)')
    .option('--compat <name>', 'slerp: mergekit treats a zero vector as orthogonal')
    .option('--checkpoint <dir...>', 'trajectory: real checkpoints, in order')
    .option('--only <glob,...>', 'only these tensors move; the others stay at the base', list)
    .option('--except <glob,...>', 'these tensors stay at the base', list)
}

export const objectiveOption = (): Option =>
  new Option('--objective <name>', 'what the model was made for (default: as its class says)').choices([
    'classify',
    'language',
  ])

export const scopeOption = (): Option =>
  new Option(
    '--scope <names>',
    'of the alignment matrix: head, top, all, layers, upper, embedding, globs of tensor names (default: head; upper)',
  )

export const tokenizerOption = (): Option =>
  new Option(
    '--tokenizer <base|reference|dir>',
    "whose tokenizer.json reads the texts (default: the reference's, else the base's)",
  )

export const threadsOption = (): Option => new Option('--threads <n>', 'default: all').argParser(integer(1))

export function resourceOptions(command: Command): Command {
  return command
    .option('--device <name>', 'auto, cpu, cuda, cuda:N, cuda:N,M (they share the probes)', 'auto')
    .option('--device-memory <size>', 'budget on each GPU (default: what is available)', bytes)
    .addOption(new Option('--precision <name>', 'of products on a GPU').choices(['f32', 'tf32', 'bf16']).default('f32'))
    .addOption(threadsOption())
    .option('--memory <size>', 'budget for working buffers, weights included (default: 2GiB)', bytes)
    .option('--seed <n>', 'of subsamples, masks and resamples', integer(0), 0)
}
