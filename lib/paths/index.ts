export { openPairPath, openPath, recordNotes, type OpenPathOptions, type OpenedPath } from './open.js'
export {
  fixedTensors,
  lambdaGrid,
  matcher,
  parsePathOptions,
  pathFamilies,
  rescales,
  type GridOptions,
  type PathFamily,
  type PathOptions,
} from './options.js'
