'use strict'
// What docs/errors.md says of codes whose words are put together where they are raised, so that scripts/errors.cjs
// cannot read them there: [cause, remedy]. docs/errors.md is tested to have every code, and only codes that are raised.

const { sources, tools } = require('./build-tools.cjs')

const copyConfig = 'Copy config.json from the original model again.'
const otherVariant =
  'This variant of the architecture cannot be computed here; `warp trace`, `warp diff` and `warp merge` still work.'
const configOrTensor = 'config.json belongs to another model, or the tensor is damaged: copy the file that is wrong.'
const saveTokenizer =
  'Save the tokenizer again: AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY) of `transformers`.'
const downloadAgain = 'Download or export the file again.'
const toSafetensors = 'Load it with torch.load(…, weights_only=True) and write it with safetensors.torch.save_file.'
const diffPart = 'The other parts go on; where none applies the command fails with `DIFF_NOTHING_APPLIES`.'
const trialAgain = 'Remove the trial’s folder and run the lab again.'
const shapes = (field) => [`…: tensor … is […], config.json asks for […]: ${field} differs`, configOrTensor]
const range = (name, expected) => [`${name} must lie in ${expected}, not …`, 'Leave it out for the default.']
const unknown = (name, names) => [`there is no ${name} …`, `Give one of ${names}.`]

const notes = {
  ADDON_MISSING: [
    'the native addon could not be loaded: …',
    `\`npm rebuild warp-recover\` builds it (in a clone: npm run build); that takes ${tools.join(', ')}. ` +
      `${sources.join('. ')}.`,
  ],
  ADAPTER_CONFIG: [
    '…: adapter_config.json lacks a field that LoRA needs, or has one of another type',
    'Copy adapter_config.json from the adapter again.',
  ],
  ADAPTER_TENSORS: [
    '…: of a module lora_A or lora_B is missing, is no matrix, or the two have different ranks',
    'The adapter is incomplete; save or download it again.',
  ],
  CONFIG_FIELD: ['…: a field is …; expected another type or range', copyConfig],
  CONFIG_FIELD_MISSING: ['…: a field that the architecture needs is missing', copyConfig],
  CONFIG_HEAD_DIM: [
    '…: "head_dim" does not fit the tensors, or an odd number of columns turns with the position',
    otherVariant,
  ],
  CONFIG_HIDDEN_SIZE: shapes('the hidden size'),
  CONFIG_ID2LABEL: [
    '…: id2label has to give each id from 0 to n-1 its own name',
    'Make id2label list the classes the head was trained with.',
  ],
  CONFIG_INTERMEDIATE_SIZE: shapes('the size of the inner layer'),
  CONFIG_KV_HEADS: ['…: num_key_value_heads does not divide the heads, or does not fit the tensors', otherVariant],
  CONFIG_LABELS: [
    '…: … labels, but the classification head has … rows',
    'Make id2label list the classes the head was trained with.',
  ],
  CONFIG_LAYER_TYPES: ['…: "layer_types" is not one known kind for each layer', otherVariant],
  CONFIG_POSITIONS: shapes('the number of positions'),
  CONFIG_ROPE_SCALING: ['…: "rope_type" is a scaling of positions that is not known', otherVariant],
  CONFIG_TYPE_VOCABULARY: shapes('type_vocab_size'),
  CONFIG_UNSUPPORTED: ['…: a switch that changes the computation has a value that is not supported', otherVariant],
  CONFIG_VOCABULARY: shapes('vocab_size'),
  CUDA_ARCH: [
    'the kernels were not compiled for this GPU: …',
    'Rebuild with WARP_CUDA_ARCHS set to this GPU’s architecture, or use --device cpu.',
  ],
  CUDA_DEVICE_LOST: [
    'the driver reports a device that is gone or broken: …',
    'nvidia-smi says in what state the GPU or its driver is; --device cpu meanwhile.',
  ],
  CUDA_FAILED: ['a call of CUDA failed: …', 'nvidia-smi says in what state the GPU is; or use --device cpu.'],
  CUDA_KERNEL_FAILED: [
    'a kernel ended with an error: …',
    'Start a new process before using this GPU again, and please report this.',
  ],
  CUDA_OUT_OF_MEMORY: [
    'the GPU’s memory ran out: …',
    'Give a smaller --device-memory, or free what other programs hold there.',
  ],
  DIFF_NOTHING_SHARED: [
    'of … and … tensors none has the same name and shape in both: …',
    'Give the base model that the reference was fine-tuned from.',
  ],
  DIFF_NO_LANGUAGE_MODEL: ['…: … is no language model that can be computed', diffPart],
  DIFF_FEW_TEXTS: ['… texts are too few to be told apart', 'Have more made: --count.'],
  DIFF_NO_START: ['there is nothing that a text may begin with', 'Say how texts begin: --prompts FILE.'],
  DIFF_NO_TEXTS: ['the neutral texts have too few tokens', 'Give --texts with sentences of at least some words each.'],
  DIFF_NO_TOKENIZER: [
    '…: no tokenizer.json, so tokens have no spelling',
    'Put the tokenizer.json of the model into its folder.',
  ],
  DIFF_NO_TOKENS: [
    'the token table tells nothing: it did not move, or all of it moved alike',
    `No text is found by its words then: look at the parts weights and predictions. ${diffPart}`,
  ],
  FEATURES_DAMAGED: [
    '…: is no shard of features, or was changed or cut off',
    'Delete the file: it will be made again.',
  ],
  FILE_LINK_CIRCULAR: [
    '…: is a link to …, which leads back to it',
    'Remove the links and copy or download the file again.',
  ],
  HANDLE_CLOSED: ['… is already closed', 'Open it again; a session that was disposed of is of no further use.'],
  HANDLE_WRONG: ['expected a handle of …', 'Pass what the package returned.'],
  HUB_BUSY: ['the hub asks to wait', 'Try again in some minutes; with HF_TOKEN set more requests are allowed.'],
  HUB_CACHE_BROKEN: [
    '…: is not in the cache: its folder has only links whose contents are gone',
    'Fetch it once with a network, or give a folder.',
  ],
  HUB_FAILED: ['the hub failed', 'Try again later.'],
  HUB_GATED: ['… asks for consent before it is read', 'Accept its terms on its page, then set HF_TOKEN.'],
  HUB_NOT_ALLOWED: ['… does not exist or is private', 'Check the name, then HF_TOKEN.'],
  HUB_NOT_FOUND: ['… is not there at revision …', 'Check owner, name and revision.'],
  HUB_NO_RECORDS: [
    '…: holds no file of records',
    'Give a data set that keeps its texts as jsonl, csv, tsv, json or parquet.',
  ],
  HUB_NO_WEIGHTS: [
    '…: holds no model.safetensors',
    'Ask for a revision in safetensors (often refs/pr/N), or convert the weights once.',
  ],
  HUB_OFFLINE: [
    '…: is not in the cache, and the network is switched off (HF_HUB_OFFLINE)',
    'Fetch it once with a network, or give a folder.',
  ],
  HUB_REVISION: ['… has no revision …', 'Look up its branches and tags.'],
  HUB_UNREACHABLE: [
    'nothing came back from the hub: no name, no route, no certificate, or a line that went dead',
    'Check the network, HTTPS_PROXY and HF_ENDPOINT; what is in the cache is read without it.',
  ],
  INTERNAL: [
    'something that this package took for impossible happened',
    'This is a bug: please report it, with the command and what it printed.',
  ],
  MERGE_DTYPE_UNKNOWN: unknown('dtype', 'the dtypes that `warp merge --help` names'),
  OPTION_MISSING: ['a call needs an option that was left out', 'Give it: the message names the call’s options.'],
  OUTPUT_NOT_A_FOLDER: ['…: the folder for the demo cannot be listed', 'Give another -o.'],
  PAIR_TENSOR_SHAPE: [
    'tensor … is […] in the base and […] in the reference; expected one shape',
    'Give the base model that the reference was fine-tuned from.',
  ],
  PAIR_TOKENIZER: [
    'base and reference have different tokenizers: … of … differs',
    'Give the base that the reference was made from, or say which one was used: --tokenizer base or reference.',
  ],
  PATH_COMPAT_UNKNOWN: unknown('compat', 'mergekit, none'),
  PATH_DENSITY_RANGE: range('density', '(0, 1]'),
  PATH_GAMMA_RANGE: range('gamma', '[0, 1)'),
  PATH_QUADRATIC_RANGE: range('quadratic-c', '[-1, 1]'),
  PATH_RESCALE_UNKNOWN: unknown('rescale', 'those that `warp merge --help` names'),
  PATH_SEED_RANGE: range('seed', 'the whole numbers from 0 to 2^53 - 1'),
  PATH_UNKNOWN: unknown('path', 'linear, quadratic, slerp, ties, dare, della, breadcrumbs, nearswap, trajectory'),
  PRECISION_UNKNOWN: unknown('precision', 'f32, tf32, bf16'),
  PROBES_CSV_INVALID: ['the reader of CSV stumbled: …', 'Is this CSV? --format names another form.'],
  PROBES_DOMAIN_TYPE: ['"…" must name the domain, found …', 'Name the column with --domain.'],
  PROBES_ENCODING: ['the file begins as UTF-16 or UTF-32 does', 'iconv -f UTF-16 -t UTF-8 FILE'],
  PROBES_FORMAT_LIES: [
    'the file is of another kind than its name or --format says: Parquet, PDF, a JSON array or lines of JSON',
    'Give --format as the message says; extract the text of a PDF first.',
  ],
  PROBES_HTML: ['an HTML page', 'Download the raw file, not the page that shows it.'],
  PROBES_LABEL_UNKNOWN: [
    'the label "…" is none of the model’s: …',
    'Map it with --label-map RAW=LABEL, or choose another column with --label.',
  ],
  PROBES_LFS_POINTER: ['a Git LFS pointer instead of the data', 'Run git lfs pull in the repository.'],
  PROBES_LINE_TOO_LONG: [
    'a line, row, element or text is longer than 16 MiB',
    'Is this the format it is read as? See --format, and whether a quote or bracket is left open.',
  ],
  PROBES_PARQUET_ENCRYPTED: ['the file is encrypted', 'Decrypt it first.'],
  PROBES_PARQUET_INVALID: [
    'not a Parquet file, or one that ends early or points outside itself',
    'Is the file complete, and Parquet? Download or write it again.',
  ],
  PROBES_PARQUET_TOO_LARGE: [
    '…: …, at most … are read',
    'Write it with smaller row groups: to_parquet(FILE, row_group_size=50000).',
  ],
  PROBES_TEXT_MISSING: ['"…" must be a string, found nothing', 'Remove the row, or give it a text.'],
  PROBES_TEXT_TYPE: [
    '"…" must be a string, found …',
    'Write the text as a string, or name another column with --text; of a list: --text "messages[].content".',
  ],
  SAFETENSORS_DTYPE_UNKNOWN: ['…: tensor …: unknown dtype …', downloadAgain],
  SAFETENSORS_ENTRY: ['…: tensor …: is not described by an object', downloadAgain],
  SAFETENSORS_FIELD_MISSING: ['…: tensor …: dtype, shape or data_offsets is missing', downloadAgain],
  SAFETENSORS_FIELD_UNKNOWN: ['…: tensor …: a field that the format does not have', downloadAgain],
  SAFETENSORS_FIRST_OFFSET: ['…: tensor …: the first data does not begin where the header ends', downloadAgain],
  SAFETENSORS_GGUF: ['…: is a GGUF file', 'Use the original Hugging Face directory; GGUF is quantised or renamed.'],
  SAFETENSORS_HOLE: ['…: tensor …: unused bytes before the data', downloadAgain],
  SAFETENSORS_HTML: ['…: is a web page', 'The download got an error or log-in page; fetch the file itself.'],
  SAFETENSORS_LFS_POINTER: ['…: is a Git LFS pointer, not the weights', 'Run git lfs pull in the repository.'],
  SAFETENSORS_NAME: ['…: a tensor’s name is too long or holds a control character', downloadAgain],
  SAFETENSORS_OFFSETS: ['…: tensor …: data_offsets are not two non-negative integers', downloadAgain],
  SAFETENSORS_OFFSETS_REVERSED: ['…: tensor …: data ends before it begins', downloadAgain],
  SAFETENSORS_OVERLAP: ['…: tensor …: shares data with another tensor', downloadAgain],
  SAFETENSORS_PICKLE: ['…: is a Python pickle (an old PyTorch checkpoint)', toSafetensors],
  SAFETENSORS_SHAPE: ['…: tensor …: the shape is not a list of non-negative integers', downloadAgain],
  SAFETENSORS_SIZE_MISMATCH: ['…: tensor …: shape and dtype need … bytes, data_offsets give …', downloadAgain],
  SAFETENSORS_SIZE_OVERFLOW: ['…: tensor …: the shape is of more than 2^53 bits, or of no whole bytes', downloadAgain],
  SAFETENSORS_ZIP: ['…: is a ZIP archive (a PyTorch checkpoint?)', toSafetensors],
  PARTS_MISSING: [
    'shards … of … are not there or not done',
    '`warp select … --shards N --shard I` makes one; name the outputs of all.',
  ],
  PART_FAILED: ['shard … of …: what its process said', 'Mend that; the same command goes on from what is there.'],
  PRECONDITION_RANGE: ['a preconditioner q of …', 'Give one from 0 (none) to 1 (as Adam).'],
  PRECONDITION_UNSUPPORTED: [
    'gradients cannot be preconditioned: …',
    'Of a classifier: --features head, or top, and a strategy that goes by gradients; else leave --precondition out.',
  ],
  SELECTION_CUT: ['…: … documents, result.json has …', 'Make it with `warp select`.'],
  SELECTION_FORM: ['…: a line is no document, or result.json is none of a selection', 'Make it with `warp select`.'],
  TENSOR_SHAPE: ['…: tensor … is […], config.json asks for […]', configOrTensor],
  TOKENIZER_DUPLICATE_ID: ['the id … belongs to two tokens, … and …', saveTokenizer],
  TOKENIZER_ID_MISMATCH: [
    '… has the id …, but the vocabulary leads to …',
    'Save the tokenizer again with a current version of transformers.',
  ],
  TOKENIZER_INVALID: ['a part of tokenizer.json is not as it has to be: found …, expected …', saveTokenizer],
  TOKENIZER_NOT_JSON: ['…: not JSON: …', `${saveTokenizer} Of a Git LFS pointer: git lfs pull.`],
  TOKENIZER_TOO_LARGE: ['…: … bytes; at most … are read', saveTokenizer],
  TOKENIZER_UNKNOWN_COMPONENT: [
    '… is a part of a tokenizer that is not known',
    'Update the package "tokenizers"; without it only BERT WordPiece and byte-level BPE are read.',
  ],
  TOKENIZER_UNSUPPORTED: [
    'dropout makes tokens random, or the tokens around a text are not fixed',
    'Set dropout to null; save the tokenizer with a post-processor that adds tokens at the ends of a text.',
  ],
  TOKENIZER_VERSION: ['the version of tokenizer.json is …, expected "1.0"', saveTokenizer],
  TRACE_SHARE_RANGE: ['trace share …; expected above 0, at most 1', 'Give 0.5, the default, or another in the range.'],
  TRAIN_STATE_DAMAGED: ['…: is no state of a training run, or was changed or cut off', 'Start over with --force.'],
  TRIAL_LOCKED: [
    'another process is at trial …',
    'Nothing to do: `warp lab run` waits for it and takes the trial over if that process dies.',
  ],
  TRIAL_MISPLACED: ['…: is trial …, not …', trialAgain],
  TRIAL_OTHER_PLAN: ['…: is not a trial of this lab’s plan', trialAgain],
  TRIAL_PROCESS_DIED: [
    'the process of task … ended without a word',
    'It may have run out of memory: run it again with fewer --workers. It is tried twice.',
  ],
  TRIAL_STOPPED: ['the trial was interrupted', 'Run `warp lab run` again: it goes on from there.'],
}

/** Faults of JSON files by the end of their code; which files have which is read from the sources. */
const endings = {
  NOT_UTF8: ['…: not UTF-8 from byte … on', 'Save or download the file again, as UTF-8.'],
  NOT_JSON: [
    '…: not JSON: …, with its place',
    'The file is damaged or was not written by a JSON library; download or export it again, or mend the place.',
  ],
  DUPLICATE_KEY: ['…: an object has a key twice', 'Remove the one that is out of date, or export the file again.'],
  INTEGER_TOO_LARGE: ['…: an integer above 2^53 - 1', 'The file is damaged: download or export it again.'],
  UNREADABLE: ['…: cannot be read', 'Look at the path and its permissions.'],
  VERSION: ['…: the schema is …, not …', 'Use one version of warp throughout, or make the file again.'],
  FORM: ['…: a field is missing or of another type', 'Make the file again with the command that wrote it.'],
  EDITED: ['…: was changed after it was written', 'Make the file again with the command that wrote it.'],
}

/** Files that say on their own what is wrong: the codes of JSON never leave them. */
const caught = ['PROBES', 'TRAIN_RECORD', 'TRAIN_STATE']

module.exports = { notes, endings, caught }
