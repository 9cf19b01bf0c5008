// The look of every page: two colour schemes, paper of its own, and nothing that moves.

/** Colours by name, light and dark; text stands in them on the paper, so each has 4.5 : 1 against it. */
export const colors: Record<'light' | 'dark', Record<string, string>> = {
  light: {
    ink: '#1b1b1f',
    soft: '#565960',
    line: '#d5d8de',
    paper: '#ffffff',
    tint: '#f3f5f8',
    ok: '#12683a',
    weak: '#854600',
    bad: '#b3261e',
    accent: '#0b63a5',
    minus: '#a34a00',
  },
  dark: {
    ink: '#ececf0',
    soft: '#adb1ba',
    line: '#3d4047',
    paper: '#16171a',
    tint: '#202226',
    ok: '#74d292',
    weak: '#f0b35b',
    bad: '#ff9188',
    accent: '#6cb8f0',
    minus: '#f0a060',
  },
}

/** Of series, in an order that stays distinct in colour-blind eyes; dashes tell more of them apart. */
export const palette: Record<'light' | 'dark', string[]> = {
  light: ['#0b63a5', '#b84300', '#00755a', '#a23b7c', '#7a5a00', '#3f7fb8', '#6747b5', '#5f6b00'],
  dark: ['#6cb8f0', '#ff9a5c', '#3fd0a3', '#f090c6', '#e8c04a', '#a9d3f5', '#b9a4ff', '#c3cf5a'],
}

const scheme = (name: 'light' | 'dark'): string =>
  [
    ...Object.entries(colors[name]).map(([key, value]) => `--${key}: ${value}`),
    ...palette[name].map((value, i) => `--c${i}: ${value}`),
  ].join('; ')

const classes = palette.light.map((_, i) => `.s${i} { --c: var(--c${i}) }`).join(' ')

export const style = `
:root { color-scheme: light dark; ${scheme('light')} }
@media (prefers-color-scheme: dark) { :root { ${scheme('dark')} } }
${classes} .rest { --c: var(--soft) }
@page { margin: 14mm }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, 'Segoe UI', 'Helvetica Neue', sans-serif; color: var(--ink); margin: 0;
  background: var(--paper); -webkit-text-size-adjust: 100% }
main { max-width: 74rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
h1 { font-size: 1.55rem; line-height: 1.25; margin: 0 0 .6rem } h2 { font-size: 1.15rem; margin: 2.4rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem }
h1, h2, h3, p, li, td, th, dd, summary, figcaption, caption { overflow-wrap: anywhere }
p, ol, ul, figcaption { max-width: 50rem } ul, ol { padding-left: 1.3rem } li { margin: .15rem 0 }
.answer { font-size: 1.15rem; margin: .2rem 0 1rem } .soft, small { color: var(--soft) } small { font-size: .82em }
.verdict { border-left: .3rem solid var(--v); background: var(--tint); padding: .6rem .9rem; max-width: 52rem }
.verdict p, .verdict ul { margin: .2rem 0 } .word { font-weight: 700; color: var(--v) }
.ok { --v: var(--ok) } .weak { --v: var(--weak) } .bad { --v: var(--bad) }
a { color: var(--accent) } a:focus-visible, summary:focus-visible, [tabindex]:focus-visible, input:focus-visible {
  outline: 2px solid var(--accent); outline-offset: 2px }
code { font: .87em/1.45 ui-monospace, 'Cascadia Mono', Menlo, monospace; overflow-wrap: anywhere }
pre { background: var(--tint); padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; max-width: 100% }
caption { text-align: left; color: var(--soft); padding: .2rem 0 .4rem; font-size: .93em }
th, td { padding: .22rem .8rem .22rem 0; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } thead th { overflow-wrap: normal } th:first-child, .text { text-align: left }
td small, th small { display: block; font-weight: 400 }
tbody th { font-weight: 400 } .best th, .best td { font-weight: 600 } td { white-space: nowrap }
td.text, .words td { white-space: normal; text-align: left }
.words th { text-align: left; width: 9rem; color: var(--soft) }
.plots { width: 100%; max-width: 52rem; table-layout: fixed } .plots th:first-child { width: 28% }
.plots th:last-child, .plots td:last-child { width: 8.6rem; padding-right: 0 } .plots.bare td:last-child { width: auto }
.plots th:nth-child(2) { text-align: left } .plots td, .plots tbody th { vertical-align: middle }
.plots svg { display: block; width: 100% }
svg { font: 12px system-ui, 'Segoe UI', sans-serif; overflow: visible } svg text { fill: var(--ink) }
svg .value { font-weight: 600; font-size: 13px } svg .axis { fill: var(--soft); font-size: 11px }
svg .grid { stroke: var(--line) } svg .zero { stroke: var(--soft) } svg .bar { fill: var(--c) }
svg .interval { stroke: var(--ink); stroke-width: 1.6; fill: none } svg .halo { stroke: var(--paper); stroke-width: 4 }
svg .interval.sampling { stroke-dasharray: 2 3; stroke-width: 2 }
svg .line { stroke: var(--c); fill: none; stroke-width: 2 } .rest svg .line, svg .rest .line, svg .line.rest {
  stroke-width: 1; opacity: .55 } svg .band { fill: var(--c); opacity: .16 }
svg .mark { stroke: var(--c); stroke-width: 2.5 }
svg .mark.other { stroke: var(--soft); stroke-width: 1.5 } svg .span { fill: var(--c); opacity: .18 }
svg .noise { stroke: var(--minus); stroke-dasharray: 3 2; fill: none } svg .spark { fill: none; stroke: var(--accent);
  stroke-width: 1.5 } svg .threshold { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 5 3 }
figure { margin: .4rem 0 1rem; min-width: 0 } figcaption { color: var(--soft); font-size: .93em; margin-bottom: .3rem }
.chart { display: block; width: 100%; max-width: 34rem; height: auto }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; padding: 0; margin: .3rem 0; list-style: none;
  font-size: .9em }
.blocks { display: flex; flex-wrap: wrap; gap: .6rem 1.6rem; align-items: flex-start }
.blocks table { table-layout: fixed; width: 22.8rem; font-size: .9em } .blocks th:first-child { width: 6rem }
.blocks th, .blocks td { padding: .2rem .35rem } .blocks th:first-child { padding-left: 0 }
.blocks thead th { font-size: .84em; line-height: 1.25; vertical-align: bottom } .heat small { color: var(--ink) }
.heat td { background: color-mix(in srgb, var(--h, var(--accent)) var(--p, 0%), var(--paper)) }
.heat td.minus { --h: var(--minus) }
.blocks .free { table-layout: auto; width: auto } .free th:first-child { width: auto }
.hash { font-size: .78em; color: var(--soft); display: block }
details { margin: .4rem 0 } summary { cursor: pointer; color: var(--accent); width: fit-content; max-width: 100% }
@media (prefers-reduced-motion: reduce) { *, ::before, ::after { animation: none !important;
  transition: none !important;
  scroll-behavior: auto !important } }
@media (max-width: 40rem) { th, td { padding-right: .5rem } .plots th:first-child { width: 32% }
  .plots th:last-child, .plots td:last-child { width: 6.2rem; font-size: .85em } .words th { width: 6.5rem }
  .tensors tbody th { min-width: 7.5rem } .tensors th:last-child, .tensors td:last-child { display: none }
  .blocks table { width: 100% } .blocks th:first-child { width: 6.4rem } svg .value { font-size: 12px } }
@media print { :root { color-scheme: light; ${scheme('light')} } body { font-size: 10pt }
main { padding: 0; max-width: none }
  h2, h3, summary, caption, thead, figcaption { break-after: avoid }
tr, svg, .side figure, .verdict { break-inside: avoid }
  * { print-color-adjust: exact } .screen { display: none }
  details::details-content { content-visibility: visible; block-size: auto } }
`
