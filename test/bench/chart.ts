/** The picture of the README: rates of two benchmarks, as bars, in the colours of the reader's scheme. */
import type { Race } from './benchmark.ts'
import type { Finding } from './report.ts'

const [width, labels, bar, gap, headHeight] = [760, 190, 18, 8, 34]

/** An SVG of the point read and the product page. */
export function chart(findings: readonly Finding[]): string {
  const shown = [
    { title: 'One row by its key, reads a second', race: raceOf(findings, 'point-read') },
    { title: 'A page of three reads at once, pages a second', race: raceOf(findings, 'product-page') },
  ]
  let y = 0
  const parts: string[] = []
  for (const { title, race } of shown) {
    parts.push(`<text class="title" x="0" y="${y + 20}">${escaped(title)}</text>`)
    y += headHeight
    const results = race.results.toSorted((a, b) => b.perSecond.median - a.perSecond.median)
    const most = results[0]?.perSecond.median ?? 1
    for (const { name, perSecond } of results) {
      const length = Math.max(1, ((width - labels - 90) * perSecond.median) / most)
      const own = name.startsWith('Rivulet') ? 'own' : 'other'
      const middle = y + bar / 2 + 4
      parts.push(
        `<text x="${labels - 10}" y="${middle}" text-anchor="end">${escaped(name.replace(/, \d+ connections$/, ''))}</text>`,
        `<rect class="${own}" x="${labels}" y="${y}" width="${length.toFixed(1)}" height="${bar}" rx="2"/>`,
        `<text x="${(labels + length + 8).toFixed(1)}" y="${middle}">${Math.round(perSecond.median).toLocaleString('en')}</text>`,
      )
      y += bar + gap
    }
    y += gap
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>Rates of Rivulet and of other clients of PostgreSQL</title>
<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .own { fill: #0a7ea4 }
  .other { fill: #b6bec6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .own { fill: #3fb6dc }
    .other { fill: #59636e }
  }
</style>
${parts.join('\n')}
</svg>
`
}

function raceOf(findings: readonly Finding[], name: string): Race {
  const [race] = findings.find(({ benchmark }) => benchmark.name === name)?.outcome.races ?? []
  if (!race) throw new Error(`${name} was not run`)
  return race
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
