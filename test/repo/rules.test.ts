// The tree keeps the rules, and each rule notices a canary that breaks it.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repositoryRoot } from '../support/shared.js'
import { classesOf } from '../../lib/models/architecture.js'
import { families } from '../../lib/models/families.js'
import * as rules from './rules.js'

const exceptions: Record<string, string> = {
  'lib/text/tokenizer/unicode-tables.ts': 'a generated table',
}

function tracked(): rules.Tree {
  const list = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: repositoryRoot,
    encoding: 'utf8',
  }).split('\0')
  const text = /\.(ts|cts|cjs|mjs|js|cc|cu|h|cuh|inc|py|md|txt|json|gyp|map)$|CMakeLists|\.ci\/run$|^scripts\//
  return new Map(
    list
      .filter((path) => path && text.test(path) && !path.startsWith('test/fixtures/') && !path.startsWith('assets/'))
      .flatMap((path) => {
        try {
          return [[path, readFileSync(join(repositoryRoot, path), 'utf8')] as const]
        } catch {
          return []
        }
      }),
  )
}

const architectures = families.flatMap((family) => [family.name, ...classesOf(family)])

const cases: [string, rules.Rule, rules.Tree][] = [
  [
    'architectures stand in one room',
    rules.architecturesStandInOneRoom(architectures),
    new Map([['lib/a/b.ts', "if (modelType === 'gpt2') x()\n"]]),
  ],
  [
    'native includes point down',
    rules.nativeIncludesPointDown,
    new Map([['native/core/a.h', '#include "paths/path.h"\n']]),
  ],
  [
    'foreign headers stay in their rooms',
    rules.foreignHeadersStayInTheirRooms,
    new Map([['native/models/a.cc', '#include <napi.h>\n']]),
  ],
  [
    'library imports point down',
    rules.libraryImportsPointDown,
    new Map([['lib/a/b.ts', "import x from '../../bin/warp.js'\n"]]),
  ],
  [
    'backends only through ops.h',
    rules.backendsOnlyThroughOps,
    new Map([['native/models/a.cc', '#include "ops/cpu/kernels.h"\n']]),
  ],
  [
    'every operation is everywhere',
    rules.everyOperationIsEverywhere,
    new Map([['native/ops/ops.h', '  virtual void turn(size_t n) const = 0;\n']]),
  ],
  ['files are short', rules.filesAreShort(exceptions), new Map([['lib/a.ts', 'x\n'.repeat(401)]])],
  ['lines are short', rules.linesAreShort, new Map([['lib/a.ts', `// ${'x'.repeat(118)}\n`]])],
  ['functions are short', rules.functionsAreShort, new Map([['lib/a.ts', `function f() {\n${'  x\n'.repeat(80)}}\n`]])],
  ['native code is quiet', rules.nativeCodeIsQuiet, new Map([['native/core/a.cc', 'void f() { std::abort(); }\n']])],
  ['the library is quiet', rules.libraryIsQuiet, new Map([['lib/a.ts', "console.log('x')\n"]])],
  ['no loose ends', rules.noLooseEnds, new Map([['lib/a.ts', '// ' + 'TO' + 'DO later\n']])],
  ['no place of one machine', rules.noLooseEnds, new Map([['README.md', `see /${'root'}/x\n`]])],
]

describe('the rules of the repository', () => {
  const tree = tracked()
  test('there is a tree to look at', () => expect(tree.size).toBeGreaterThan(50))
  test.each(cases)('%s', (_name, rule, canary) => {
    expect(rule(canary)).not.toEqual([])
    expect(rule(tree)).toEqual([])
  })
})
