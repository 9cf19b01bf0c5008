// Every page in a real Chromium: three widths, both colour schemes, and as it is printed.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import puppeteer, { type Browser, type Page } from 'puppeteer-core'
import { familyPage, htmlReport, tracePage } from '../../lib/report/index.js'
import { diffReport, evaluationReport, labReport, trainingReport } from '../support/page-others.js'
import { family, longNames, recovered, traced } from '../support/page-results.js'

const chromium = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser'].find(
  (file) => file && existsSync(file),
)
if (!chromium) console.warn('pages are not looked at: there is no Chromium (Debian: chromium; or CHROMIUM=its path)')

/** Pictures are kept where this names a folder. */
const pictures = process.env.WARP_PICTURES

const pages: Record<string, () => Promise<string>> = {
  'recover-4': async () => htmlReport(await recovered(['World', 'Sports', 'Business', 'Sci/Tech'])),
  'recover-10': async () => htmlReport(await recovered(longNames(10))),
  'recover-claimed-10': async () => {
    const claim = Object.fromEntries(longNames(10).map((name) => [name, 0.1]))
    return htmlReport(await recovered(longNames(10), {}, claim))
  },
  'recover-150': async () => htmlReport(await recovered(longNames(150))),
  'family-5': async () => {
    const steps = [100, 200, 400, 800, 1600].map((step) => `checkpoint-${step}`)
    return familyPage(await family(longNames(6), steps))
  },
  'family-12': async () => familyPage(await family(longNames(40), longNames(12))),
  'trace-4': async () => tracePage(traced(longNames(4))),
  diff: async () => diffReport(),
  'lab-16': async () => labReport(16, longNames(10)),
  'lab-150': async () => labReport(150, longNames(40)),
  evaluation: async () => evaluationReport(),
  training: async () => trainingReport(1234, longNames(4)),
  'trace-150': async () => tracePage(traced(longNames(150))),
}

const widths = [420, 800, 1280]
/** Pixels between the margins of the page: A4 and letter less 14 mm on either side. */
const paper = { a4: Math.floor(((210 - 28) / 25.4) * 96), letter: Math.floor(((215.9 - 28) / 25.4) * 96) }

const suite = chromium ? describe : describe.skip
suite('in Chromium', () => {
  let browser: Browser
  let folder: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'warp-pages-'))
    if (pictures) mkdirSync(pictures, { recursive: true })
    browser = await puppeteer.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] })
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test.each(Object.keys(pages))(
    '%s: fits, asks nobody, reads well, prints',
    async (name) => {
      const file = join(folder, `${name}.html`)
      writeFileSync(file, await pages[name]())
      const page = await browser.newPage()
      const asked: string[] = []
      const failed: string[] = []
      page.on('request', (request) => asked.push(request.url()))
      page.on('console', (message) => failed.push(message.text()))
      page.on('pageerror', (error) => failed.push(String(error)))
      await page.goto(`file://${file}`)
      for (const scheme of ['light', 'dark']) {
        await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }])
        for (const width of widths) {
          await page.setViewport({ width, height: 900 })
          expect({ scheme, width, faults: await faultsOf(page) }).toEqual({ scheme, width, faults: [] })
          if (pictures)
            await page.screenshot({ path: join(pictures, `${name}-${width}-${scheme}.png`), fullPage: true })
        }
        // rules that do not look at colours find the same in either scheme, and the large pages have no other colours
        const dark = scheme === 'dark'
        if (dark && name.endsWith('-150')) continue
        expect({ scheme, violations: await violations(page, dark) }).toEqual({ scheme, violations: [] })
      }
      await page.emulateMediaType('print')
      for (const [format, width] of Object.entries(paper) as [keyof typeof paper, number][]) {
        await page.setViewport({ width, height: 900 })
        expect({ format, faults: await faultsOf(page) }).toEqual({ format, faults: [] })
        const pdf = Buffer.from(await page.pdf({ format, preferCSSPageSize: false, printBackground: true }))
        expect(pdf.subarray(0, 5).toString()).toBe('%PDF-')
        if (pictures) writeFileSync(join(pictures, `${name}-${format}.pdf`), pdf)
      }
      await page.close()
      expect(asked).toEqual([`file://${file}`])
      expect(failed).toEqual([])
    },
    240_000,
  )

  test('a page that is too wide, cut or asks for something is noticed', async () => {
    const page = await browser.newPage()
    await page.setViewport({ width: 420, height: 900 })
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    const cut = '<div style="width:40px;overflow:hidden;white-space:nowrap">a long text that is cut</div>'
    writeFileSync(
      join(folder, 'canary.html'),
      `<html><body><table><tr><td>${cut}</td></tr></table><svg width="50"><text x="40">outside</text></svg>` +
        '<p style="width:900px;color:#999">wide</p><img src="nowhere.png"></body></html>',
    )
    await page.goto(`file://${join(folder, 'canary.html')}`)
    const found = (await faultsOf(page)).join('\n')
    expect(found).toMatch(/page is \d+ wide/)
    expect(found).toMatch(/cut: a long text/)
    expect(found).toMatch(/outside/)
    expect(asked).toHaveLength(2)
    expect((await violations(page)).join()).toMatch(/color-contrast/)
    await page.close()
  })
})

/** Runs in the page: what lies outside of it, or is cut. */
const faults = `(() => {
  const out = [], wide = document.documentElement.scrollWidth
  if (wide > innerWidth) out.push('page is ' + wide + ' wide, the window ' + innerWidth)
  const name = (element) => element.textContent.trim().slice(0, 60)
  for (const element of document.querySelectorAll('body *')) {
    const { overflowX } = getComputedStyle(element), { scrollWidth, clientWidth } = element
    if (element.closest('svg') || overflowX === 'visible' || clientWidth === 0) continue
    if (scrollWidth > clientWidth + 1) out.push('cut: ' + name(element))
  }
  for (const cell of document.querySelectorAll('th, td, p, li, pre, caption, summary')) {
    const box = cell.getBoundingClientRect()
    if (box.width === 0) continue
    if (cell.scrollWidth > cell.clientWidth + 1) out.push('overflows: ' + name(cell))
    if (box.left < 0 || box.right > innerWidth + 0.5) out.push('outside of the page: ' + name(cell))
  }
  for (const text of document.querySelectorAll('svg text')) {
    const [box, around] = [text, text.closest('svg')].map((one) => one.getBoundingClientRect())
    if (box.width === 0) continue
    const across = box.left >= around.left - 1 && box.right <= around.right + 1
    const down = box.top >= around.top - 2 && box.bottom <= around.bottom + 2
    if (!across || !down) out.push('outside of its chart: ' + name(text))
  }
  return out
})()`

/** What of the page lies outside of it, or is cut. */
const faultsOf = (page: Page): Promise<string[]> => page.evaluate(faults) as Promise<string[]>

async function violations(page: Page, colors = false): Promise<string[]> {
  await page.evaluate(axe.source)
  return page.evaluate(async (only) => {
    const { axe: here } = globalThis as unknown as { axe: typeof axe }
    const options = only ? { runOnly: { type: 'rule' as const, values: ['color-contrast'] } } : {}
    const { violations: found } = await here.run({ ...options, resultTypes: ['violations'] })
    return found.map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .slice(0, 3)
          .map(({ html }) => html)
          .join(' ')}`,
    )
  }, colors)
}
