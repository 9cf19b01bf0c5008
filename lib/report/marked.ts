import { escapeHtml } from './escape.js'

/** The text with the first place of each token marked, case apart. */
export function marked(text: string, tokens: readonly string[]): string {
  const lower = text.toLowerCase()
  const places = tokens
    .map((token) => ({ at: placeOf(lower, token.toLowerCase()), length: token.length }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at)
  let html = '',
    from = 0
  for (const { at, length } of places) {
    if (at < from) continue
    html += `${escapeHtml(text.slice(from, at))}<mark>${escapeHtml(text.slice(at, at + length))}</mark>`
    from = at + length
  }
  return html + escapeHtml(text.slice(from))
}

/** Where a token stands as a word or at its beginning, else anywhere. */
function placeOf(text: string, token: string): number {
  if (token === '') return -1
  for (let at = text.indexOf(token); at >= 0; at = text.indexOf(token, at + 1)) {
    if (at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1])) return at
  }
  return text.indexOf(token)
}
