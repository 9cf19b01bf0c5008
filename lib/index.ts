export { WarpError } from './errors.js'
export type { ErrorDetails, ErrorKind } from './errors.js'
