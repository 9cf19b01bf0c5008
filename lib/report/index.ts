export { htmlReport } from './html.js'
export type { RecoverResult } from './schema.js'
export { terminalReport } from './terminal.js'
export type { TerminalOptions } from './terminal.js'
