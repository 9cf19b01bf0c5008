'use strict'
// What building the addon takes, and where it comes from: said by setup.cjs, install.cjs and lib/native/load.ts.
const { spawnSync } = require('node:child_process')

const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0

const tools = [
  ['a C++17 compiler', () => [process.env.CXX || 'c++', ...(process.env.CXX ? [] : ['g++', 'clang++'])].some(has)],
  ['make (or ninja)', () => has('make') || has('ninja') || has('gmake')],
  ['CMake 3.22 or newer', () => has('cmake')],
]

/** The tools that are not there, in words. */
const missing = () => tools.filter(([, there]) => !there()).map(([words]) => words)

/** Where the three come from, a system a line. */
const sources = [
  'Debian, Ubuntu: apt-get install g++ make cmake',
  'Fedora, RHEL: dnf install gcc-c++ make cmake',
  'Alpine: apk add g++ make cmake',
  'macOS: xcode-select --install; brew install cmake',
]

module.exports = { missing, sources, tools: tools.map(([words]) => words) }
