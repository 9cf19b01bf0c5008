import { escapeHtml } from '../report/charts.js'
import { htmlPage, list, section, wordTable } from '../report/page.js'
import type { DiffResult } from './index.js'

/** The result as one HTML page; `sections` are those of the parts that ran. */
export function diffPage(result: DiffResult, sections: string[]): string {
  const { inputs, skipped, notes, tool, seed } = result
  return htmlPage('What changed between two models', [
    '<h1>What changed between two models</h1>' +
      `<p class="soft">base ${escapeHtml(inputs.base)} · reference ${escapeHtml(inputs.reference)}</p>`,
    ...sections,
    skipped.length > 0
      ? section('What does not apply', wordTable(skipped.map(({ part, reason }) => [part, reason])))
      : '',
    notes.length > 0 ? section('Notes', list(notes)) : '',
    section('Run', wordTable([['tool', `${tool.name} ${tool.version}, seed ${seed}`]])),
  ])
}
