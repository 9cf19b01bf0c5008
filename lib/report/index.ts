export { htmlReport } from './html.js'
export type { RecoverDocument } from './schema.js'
export { terminalReport } from './terminal.js'
export type { TerminalOptions } from './terminal.js'
