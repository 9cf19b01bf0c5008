import { createHash } from 'node:crypto'
import { escapeHtml } from './charts.js'

const style = `
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #666; --line: #ddd; --paper: #fff }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --soft: #aaa; --line: #444; --paper: #17181a } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif } svg text { fill: var(--ink) }
svg .axis { fill: var(--soft) } svg .grid { stroke: var(--line) }
svg .interval { stroke: var(--ink); fill: none; stroke-width: 1.5 }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top }
th:first-child, td:first-child, .words td { text-align: left } th { font-weight: 600 }
.soft, td small { color: var(--soft) } td small { display: block } .best td { font-weight: 600 }
.verdict { font-weight: 600 } .ok { color: #16803c } .weak { color: #b26a00 } .unidentifiable { color: #c62828 }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none }
code { font-size: .85em; overflow-wrap: anywhere }
td code { display: inline-block; min-width: 10rem } td svg { display: block; max-width: none }
.bar { fill: #0072b2 } .spark { fill: none; stroke: #0072b2; stroke-width: 1.5 } td { overflow-wrap: break-word }
svg .noise { stroke: #d55e00; stroke-dasharray: 3 2 } .tokens { line-height: 2 } .tokens span { margin-right: .9rem }
@media print { body { font-size: 10pt; max-width: none; margin: 0 } .scroll { overflow: visible }
  h2 { break-after: avoid } tr, svg { break-inside: avoid } td, th { padding-right: .4rem } }
`

/**
 * One HTML page without anything from elsewhere and without scripts but the one given (its policy forbids them): opens
 * from a disk, can be mailed. Sections are HTML already.
 */
export function htmlPage(title: string, sections: string[], more: { style?: string; script?: string } = {}): string {
  const hash = more.script && createHash('sha256').update(more.script).digest('base64')
  const policy = `default-src 'none'; style-src 'unsafe-inline'${hash ? `; script-src 'sha256-${hash}'` : ''}`
  return (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' +
    `<meta http-equiv="Content-Security-Policy" content="${policy}">` +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    `<title>${escapeHtml(title)}</title><style>${style}${more.style ?? ''}</style></head>\n` +
    `<body>\n${sections.join('\n')}\n` +
    `${more.script ? `<script>${more.script}</script>\n` : ''}</body></html>\n`
  )
}

export function section(title: string, body: string): string {
  return `<h2>${escapeHtml(title)}</h2>\n${body}`
}

/** Cells are HTML already. */
export function table(head: string[], rows: string[][], classes: string[] = []): string {
  const row = (cells: string[], tag: string) => cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')
  const body = rows.map((cells, i) => `<tr${classes[i] ? ` class="${classes[i]}"` : ''}>${row(cells, 'td')}</tr>`)
  return (
    `<div class="scroll"><table><thead><tr>${row(head, 'th')}</tr></thead>` +
    `<tbody>${body.join('')}</tbody></table></div>`
  )
}

export function wordTable(rows: [string, string][]): string {
  const body = rows.map(([name, text]) => `<tr><td>${escapeHtml(name)}</td><td>${escapeHtml(text)}</td></tr>`)
  return `<div class="scroll"><table class="words"><tbody>${body.join('')}</tbody></table></div>`
}

export function list(items: string[]): string {
  return `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`
}

/** A file that went in. */
export interface InputFile {
  role: string
  path: string
  size: number
  sha256: string
}

export function inputTable(inputs: readonly InputFile[]): string {
  return table(
    ['', 'path', 'bytes', 'sha256'],
    inputs.map(({ role, path, size, sha256 }) => [
      escapeHtml(role),
      escapeHtml(path),
      String(size),
      `<code>${escapeHtml(sha256)}</code>`,
    ]),
  )
}
