'use strict'
// Jest runs tests in a realm of its own; typed arrays made by the addon come from the main one. Share
// the constructors, so that toEqual and instanceof see one Float32Array.
const { TestEnvironment } = require('jest-environment-node')
const shared = [
  'Float32Array',
  'Float64Array',
  'Int8Array',
  'Int16Array',
  'Int32Array',
  'Uint8ClampedArray',
  'Uint16Array',
  'Uint32Array',
  'BigInt64Array',
  'BigUint64Array',
  'DataView',
  'SharedArrayBuffer',
]
module.exports = class extends TestEnvironment {
  constructor(config, context) {
    super(config, context)
    for (const name of shared) this.global[name] = globalThis[name]
  }
}
