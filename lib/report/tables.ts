import { breakable, csvLine, escapeHtml, pieces } from './escape.js'

export interface TableOptions {
  /** what the table shows, in words */
  caption?: string
  /** on the rows */
  classes?: readonly string[]
  /** on the table */
  className?: string
}

/** HTML, perhaps of another kind than a number. */
export type Cell = string | { html: string; className?: string; style?: string }

/** A table whose first column names its rows. Cells are HTML already. */
export function table(head: readonly string[], rows: readonly Cell[][], options: TableOptions = {}): string {
  const { caption, classes = [], className } = options
  const body = rows.map(
    ([name, ...cells], i) =>
      `<tr${classes[i] ? ` class="${classes[i]}"` : ''}><th scope="row">${htmlOf(name)}</th>` +
      `${cells.map(cellOf).join('')}</tr>`,
  )
  return (
    `<table${className ? ` class="${className}"` : ''}>${caption ? `<caption>${escapeHtml(caption)}</caption>` : ''}` +
    `<thead><tr>${head.map((name, column) => headOf(name, rows[0]?.[column])).join('')}</tr></thead>` +
    `<tbody>${body.join('')}</tbody></table>`
  )
}

/** The head of a column of words stands above them, at the left. */
const headOf = (name: string, first: Cell | undefined): string =>
  `<th scope="col"${typeof first === 'object' && first.className === 'text' ? ' class="text"' : ''}>${name}</th>`

const htmlOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.html)

function cellOf(cell: Cell): string {
  if (typeof cell === 'string') return `<td>${cell}</td>`
  const { html, className, style } = cell
  return `<td${className ? ` class="${className}"` : ''}${style ? ` style="${style}"` : ''}>${html}</td>`
}

/** A cell of words: set to the left, and broken into lines. */
export const words = (html: string): Cell => ({ html, className: 'text' })

/** Names with what there is to say of each. */
export function wordTable(rows: readonly [string, string][], caption?: string): string {
  const body = rows.map(
    ([name, text]) => `<tr><th scope="row">${breakable(name)}</th><td>${escapeHtml(text)}</td></tr>`,
  )
  return (
    `<table class="words">${caption ? `<caption>${escapeHtml(caption)}</caption>` : ''}` +
    `<tbody>${body.join('')}</tbody></table>`
  )
}

export function list(items: readonly string[]): string {
  return items.length > 0 ? `<ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>` : ''
}

/** Rows that stand on a page at once; of more, the first ones do, and the rest is folded away. */
const mostRows = 16,
  shownRows = 12

/** What stands at once, and the rest behind a line that says what it is. */
export function folded<T>(
  rows: readonly T[],
  show: (rows: readonly T[]) => string,
  rest: (rows: readonly T[]) => string,
) {
  if (rows.length <= mostRows) return show(rows)
  const [first, more] = [rows.slice(0, shownRows), rows.slice(shownRows)]
  return `${show(first)}<details><summary>${escapeHtml(rest(more))}</summary>${show(more)}</details>`
}

/** A row of numbers, by name; null where there is none. */
export interface NumberRow {
  name: string
  values: readonly (number | null)[]
  className?: string
}

export interface GridOptions {
  caption: string
  /** of the first column */
  corner: string
  columns: readonly string[]
  format: (value: number) => string
  /** shades the cells: by size, those below zero in another colour */
  heat?: boolean
  /** second line of a cell */
  small?: (row: number, column: number) => string
  /** of the file with the numbers */
  file: string
  /** what the rows are called, many of them */
  many?: string
}

/** Columns of a block: as many as a phone has room for, fewer of long words or of cells with a second line. */
function columnsOf({ small, columns }: GridOptions): number {
  const longest = Math.max(...columns.flatMap((name) => pieces(name).map((piece) => piece.trim().length)))
  return small || longest > 8 ? 3 : 4
}

/**
 * Numbers by row and column. A page has room for some columns only, so that there are blocks of them, side by side
 * where they fit. Many rows are folded, and a link holds everything as CSV.
 */
export function grid(rows: readonly NumberRow[], options: GridOptions): string {
  const { columns, corner, file, many = 'rows' } = options
  const numbered = rows.map((row, at) => ({ ...row, at }))
  const all = rows.flatMap(({ values }) => values.filter((value) => value !== null))
  const most = Math.max(1e-300, ...all.map(Math.abs))
  const show = (some: readonly (typeof numbered)[number][]): string => {
    const blocks = chunks(columns.length, columnsOf(options)).map((at) => block(some, at, most, options))
    return `<div class="blocks">${blocks.join('')}</div>`
  }
  const csv = [[corner, ...columns], ...rows.map(({ name, values }) => [name, ...values])]
  return folded(numbered, show, (more) => `${more.length} more ${many}`) + csvDownload(file, csv)
}

function chunks(columns: number, size: number): [from: number, to: number][] {
  const count = Math.max(1, Math.ceil(columns / size))
  return Array.from({ length: count }, (_, i) => [i * size, Math.min(columns, (i + 1) * size)])
}

function block(
  rows: readonly (NumberRow & { at: number })[],
  [from, to]: [number, number],
  most: number,
  options: GridOptions,
): string {
  const { caption, corner, columns, format, heat, small } = options
  const cells = (row: (typeof rows)[number]) =>
    row.values.slice(from, to).map((value, c): Cell => {
      if (value === null) return '–'
      const more = small?.(row.at, from + c)
      const html = `${escapeHtml(format(value))}${more ? `<small>${escapeHtml(more)}</small>` : ''}`
      const shade = `--p:${(((100 * Math.abs(value)) / most) * 0.42).toFixed(1)}%`
      return heat ? { html, className: value < 0 ? 'minus' : undefined, style: shade } : html
    })
  const part = columns.length > to - from ? ` (${from + 1} to ${to} of ${columns.length})` : ''
  return table(
    [escapeHtml(corner), ...columns.slice(from, to).map(breakable)],
    rows.map((row) => [breakable(row.name), ...cells(row)]),
    { caption: caption + part, classes: rows.map(({ className }) => className ?? ''), className: heat ? 'heat' : '' },
  )
}

/** A file with the numbers of a chart, kept inside the page. */
export function csvDownload(file: string, rows: readonly (readonly (string | number | boolean | null)[])[]): string {
  const text = Buffer.from(rows.map((row) => `${csvLine(row)}\r\n`).join(''))
  return (
    `<p class="screen"><a download="${escapeHtml(file)}" href="data:text/csv;charset=utf-8;base64,` +
    `${text.toString('base64')}">${escapeHtml(file)}</a></p>`
  )
}
