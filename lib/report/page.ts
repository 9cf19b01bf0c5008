// The frame of every page: what was asked, the answer, what it guarantees, how, its limits, where it comes from.
import { createHash } from 'node:crypto'
import os from 'node:os'
import { escapeHtml } from './escape.js'
import { provenance, type Provenance } from './provenance.js'
import { style } from './style.js'
import { list } from './tables.js'

export interface Page {
  /** of the result, with both models' names */
  title: string
  /** one sentence */
  answer: string
  verdict: {
    word: string
    kind: 'ok' | 'weak' | 'bad'
    /** in a sentence, what this verdict promises and what it does not */
    guarantee: string
    reasons?: readonly string[]
  }
  /** HTML */
  sections: readonly string[]
  /** five lines at most */
  how: readonly string[]
  limits: readonly string[]
  provenance: Provenance
  /** the document that the page shows, kept inside it */
  result: unknown
  style?: string
  /** the only one; its hash stands in the page's policy */
  script?: string
}

/**
 * One HTML page without anything from elsewhere and without scripts but the one given (its policy forbids them): opens
 * from a disk, can be mailed. The home folder of whoever made it stands nowhere in it.
 */
export function htmlPage(page: Page): string {
  const { title, answer, verdict, sections, how, limits, script } = page
  const hash = script && createHash('sha256').update(script).digest('base64')
  const policy = `default-src 'none'; style-src 'unsafe-inline'${hash ? `; script-src 'sha256-${hash}'` : ''}`
  const body = [
    `<h1>${escapeHtml(title)}</h1>`,
    `<p class="answer">${escapeHtml(answer.replaceAll(' %', '\u00a0%'))}</p>`,
    `<div class="verdict ${verdict.kind}"><p><span class="word">${escapeHtml(verdict.word)}</span> – ` +
      `${escapeHtml(verdict.guarantee)}</p>${list(verdict.reasons ?? [])}</div>`,
    ...sections,
    section('How it works', `<ol>${how.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ol>`),
    section('Limits', list(limits)),
    section('Where this comes from', provenance(page.provenance) + download(page.result)),
  ]
  return withoutHome(
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">' +
      `<meta http-equiv="Content-Security-Policy" content="${policy}">` +
      '<meta name="viewport" content="width=device-width, initial-scale=1">' +
      `<title>${escapeHtml(title)}</title><style>${style}${page.style ?? ''}</style></head>\n` +
      `<body><main>\n${body.filter(Boolean).join('\n')}\n</main>\n` +
      `${script ? `<script>${script}</script>\n` : ''}</body></html>\n`,
  )
}

/** The document behind a page, as a file to keep. */
function download(result: unknown): string {
  const json = Buffer.from(withoutHome(`${JSON.stringify(result, null, 2)}\n`))
  return (
    `<p class="screen"><a download="result.json" href="data:application/json;base64,${json.toString('base64')}">` +
    `result.json</a> (${Math.ceil(json.length / 1024)} KiB): everything that this page shows, for programs.</p>`
  )
}

/** The home folder as `~`, wherever it stands. */
export function withoutHome(text: string, home = os.homedir()): string {
  if (home.length < 2) return text
  const name = home.replace(/\/+$/, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return text.replace(new RegExp(`(?<![\\w.~-])${name}(?![\\w.-])`, 'g'), '~')
}

export function section(title: string, body: string): string {
  return body === '' ? '' : `<h2>${escapeHtml(title)}</h2>\n${body}`
}

export { inputTable, type InputFile } from './provenance.js'
export { list, table, wordTable } from './tables.js'
