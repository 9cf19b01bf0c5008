'use strict'
// Tests are compiled by tsc into dist/test first (scripts/test.cjs); jest runs plain CommonJS.
module.exports = {
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  testEnvironment: '<rootDir>/test/support/environment.cjs',
  testTimeout: 60000,
}
