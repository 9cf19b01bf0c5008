// The rules of CONTRIBUTING.md as functions from a tree (path → text) to a list of breaches.

export type Tree = Map<string, string>
export type Rule = (tree: Tree) => string[]

const files = (tree: Tree, pattern: RegExp): [string, string][] => [...tree].filter(([path]) => pattern.test(path))

const nativeOrder = ['core', 'files', 'ops', 'paths', 'graph', 'scoring', 'select', 'binding']
const nativeLevel = (room: string): number =>
  ['trace', 'training', 'diff', 'generate'].includes(room) ? nativeOrder.indexOf('scoring') : nativeOrder.indexOf(room)

/** Native: binding → select → scoring, training, trace, diff, generate → graph → paths → ops → files → core. */
export const nativeIncludesPointDown: Rule = (tree) =>
  files(tree, /^native\/.*\.(cc|h|cu|inc)$/).flatMap(([path, text]) => {
    const room = path.split('/')[1]
    return [...text.matchAll(/^#include "([a-z_]+)\/[^"]+"/gm)]
      .map(([, target]) => target)
      .filter((target) => nativeLevel(target) > nativeLevel(room) || nativeLevel(target) < 0)
      .map((target) => `${path} includes ${target}/`)
  })

/** napi.h only in native/binding, cuda headers only in native/ops/cuda. */
export const foreignHeadersStayInTheirRooms: Rule = (tree) =>
  files(tree, /^native\/.*\.(cc|h|cu|inc)$/).flatMap(([path, text]) => [
    ...(/#include <napi\.h>/.test(text) && !path.startsWith('native/binding/') ? [`${path} includes napi.h`] : []),
    ...(/#include <cuda[^>]*>/.test(text) && !path.startsWith('native/ops/cuda/')
      ? [`${path} includes a CUDA header`]
      : []),
  ])

/**
 * TypeScript imports point down: bin → lib → lib/native; a room of lib imports another through its index or a file of
 * it.
 */
export const libraryImportsPointDown: Rule = (tree) =>
  files(tree, /^(lib|bin)\/.*\.ts$/).flatMap(([path, text]) =>
    [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)]
      .map(([, target]) => resolve(path, target))
      .filter(
        (target) =>
          (path.startsWith('lib/') && target.startsWith('bin/')) ||
          target.startsWith('test/') ||
          (path.startsWith('lib/native/') &&
            target.startsWith('lib/') &&
            !target.startsWith('lib/native/') &&
            // the network is data that crosses as it is
            !['lib/errors.js', 'lib/models/network.js'].includes(target)),
      )
      .map((target) => `${path} imports ${target}`),
  )

function resolve(from: string, target: string): string {
  const parts = from.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/**
 * Models, scoring and training reach a backend only through ops.h and backward.h; the flow on a GPU also through that
 * backend's own list.
 */
export const backendsOnlyThroughOps: Rule = (tree) =>
  files(tree, /^native\/(generate|models|scoring|trace|training)\//).flatMap(([path, text]) =>
    [...text.matchAll(/#include "ops\/([^"]+)"/g)]
      .map(([, target]) => target)
      .filter(
        (target) =>
          target !== 'ops.h' &&
          target !== 'backward.h' &&
          !(target === 'cuda/backend.h' && path.startsWith('native/scoring/device')),
      )
      .map((target) => `${path} includes ops/${target}`),
  )

/** Every operation of ops.h has its meaning in ops/reference and an implementation in ops/cpu. */
export const everyOperationIsEverywhere: Rule = (tree) => {
  const ops = tree.get('native/ops/ops.h') ?? ''
  const names = [...ops.matchAll(/virtual void (\w+)\(/g)]
    .map(([, name]) => name)
    .filter((name) => !name.startsWith('pack_'))
  const reference = tree.get('native/ops/reference/reference.h') ?? ''
  const cpu = tree.get('native/ops/cpu/cpu.cc') ?? ''
  return names.flatMap((name) => [
    ...(new RegExp(`\\b${name}\\(`).test(reference) ? [] : [`${name} is not in ops/reference`]),
    ...(new RegExp(`void ${name}\\(`).test(cpu) ? [] : [`${name} is not in ops/cpu`]),
  ])
}

const source = /^(lib|bin|native|test|benchmarks|scripts)\/.*\.(ts|cts|cjs|mjs|js|cc|cu|h|cuh|inc|py)$/

/** Files of at most 400 lines, but for those named with a reason. */
export const filesAreShort =
  (exceptions: Record<string, string>): Rule =>
  (tree) =>
    files(tree, source)
      .filter(([path, text]) => text.split('\n').length - 1 > 400 && !(path in exceptions))
      .map(([path, text]) => `${path} has ${text.split('\n').length - 1} lines`)

/** Lines of at most 120 characters, also those that a formatter leaves alone: texts and comments. */
export const linesAreShort: Rule = (tree) =>
  files(tree, /^(?!lib\/text\/tokenizer\/unicode-tables).*\.(ts|cts|cjs|mjs|js|cc|cu|h|cuh|inc)$/).flatMap(
    ([path, text]) =>
      text.split('\n').flatMap((line, i) => ([...line].length > 120 ? [`${path}:${i + 1} is longer than 120`] : [])),
  )

/** Functions of at most 80 lines: from a line that ends in `) {` or the like to the brace that closes it. */
export const functionsAreShort: Rule = (tree) =>
  files(tree, /^(lib|bin|native)\/.*\.(ts|cc|cu|h|inc)$/).flatMap(([path, text]) => {
    const lines = text.split('\n').map((line) => line.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\/\/.*$/g, ''))
    return lines.flatMap((line, start) => {
      if (!/\)[^;=]*\{$/.test(line) || /^\s*(namespace|class|struct|export (default )?class|switch)\b/.test(line))
        return []
      let depth = 1
      let end = start
      while (depth > 0 && ++end < lines.length)
        depth += (lines[end].match(/\{/g)?.length ?? 0) - (lines[end].match(/\}/g)?.length ?? 0)
      return end - start > 80 ? [`${path}:${start + 1} is ${end - start + 1} lines long`] : []
    })
  })

/** Native code returns errors: it never aborts, prints or exits. */
export const nativeCodeIsQuiet: Rule = (tree) =>
  files(tree, /^native\//).flatMap(([path, text]) =>
    [
      ...withoutComments(text).matchAll(
        /\b(std::abort|abort|std::exit|exit|_exit|printf|fprintf|puts|assert)\s*\(|std::(cout|cerr)\b/g,
      ),
    ].map(([call]) => `${path} calls ${call}`),
  )

/** The library never writes to the console; a worker is a program of its own. */
export const libraryIsQuiet: Rule = (tree) =>
  files(tree, /^lib\/(?!lab\/task-worker\.).*\.ts$/).flatMap(([path, text]) =>
    [...withoutComments(text).matchAll(/console\.\w+|process\.(stdout|stderr)\.write/g)].map(
      ([call]) => `${path}: ${call}`,
    ),
  )

/** No loose ends, and no place of one machine. */
export const noLooseEnds: Rule = (tree) =>
  files(tree, /^(?!test\/repo\/|package-lock)/).flatMap(([path, text]) => [
    ...[...text.matchAll(/\b(TODO|FIXME|XXX)\b|\b(it|test|describe)\.(only|todo)\b/g)].map(
      ([word]) => `${path}: ${word}`,
    ),
    ...(/(^|["'\s(=])\/(root|home\/\w+|work|tmp\/wt)\//m.test(text) ? [`${path} names a place of one machine`] : []),
  ])

/**
 * Architectures by name only in lib/models; tokenizers have components with such names, and the demo tells its own
 * story. Nothing else asks which architecture a model is.
 */
export const architecturesStandInOneRoom =
  (names: readonly string[]): Rule =>
  (tree) => {
    const name = new RegExp(`\\b(${names.join('|')})\\b|\\barchitecture\\.kind\\b`, 'gi')
    return files(tree, /^(lib\/(?!models\/|text\/tokenizer\/)|bin\/(?!commands\/demo)).*\.ts$/).flatMap(
      ([path, text]) => [...withoutComments(text).matchAll(name)].map(([found]) => `${path} names ${found}`),
    )
  }

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
