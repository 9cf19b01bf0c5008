/** For text and attribute values of HTML and SVG. */
export function escapeHtml(text: string): string {
  const named: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
  // NUL and other control characters are not allowed in HTML at all; bidirectional ones would turn what follows around
  return text
    .replace(/[&<>"']/g, (character) => named[character])
    .replace(/[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
}

/** What of a name stays together: a line may break behind its signs. */
export const pieces = (name: string): string[] => name.split(/(?<=[-_/.,[= ])/)

/** A name that may break into lines behind its signs. */
export const breakable = (name: string): string => pieces(name).map(escapeHtml).join('<wbr>')

export function shorten(name: string, longest: number): string {
  const characters = [...name]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : name
}

/** One line of RFC 4180, without its end; a line break within a text stays one, inside quotes. */
export function csvLine(cells: readonly (string | number | boolean | null)[]): string {
  return cells
    .map((cell) => String(cell ?? ''))
    .map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell))
    .join(',')
}
