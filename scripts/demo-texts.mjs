// Writes the demo's texts with their domain and part as JSON lines to stdout: what make-demo.py reads.
// Needs the built library (npm run build:ts).
import texts from '../dist/lib/demo/texts.js'

for (const text of await texts.splitTexts()) process.stdout.write(JSON.stringify(text) + '\n')
