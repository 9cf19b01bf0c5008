'use strict'
// Writes docs/architectures.md from the list of lib/models (compiled): node scripts/architectures.cjs
const fs = require('node:fs')
const path = require('node:path')

const root = path.resolve(__dirname, '..')
const file = path.join(root, 'docs/architectures.md')
const { families } = require(path.join(root, 'dist/lib/models/families.js'))

/** The whole document. */
function text() {
  const rows = families.map(({ name, classes: { classify, language, base }, notes }) => {
    const bases = base.map((cls) => `\`${cls}\``).join(' ')
    return `| \`${name}\` | \`${classify}\` | ${language ? `\`${language}\`` : ''} | ${bases} | ${notes.join('; ')} |`
  })
  return `# Architectures

Made by \`scripts/architectures.cjs\` from the families of \`lib/models\`; do not edit.

A model directory belongs to a family by the class in \`architectures\` and by \`model_type\` of its \`config.json\`. Of
each family a network is made as plain data: \`…ForSequenceClassification\` chooses one of several classes (one label
per text; regression and several labels at once are refused), the language model predicts the next token. A language
model and the bases can be what a classifier was fine-tuned from. Every family is tested against \`transformers\` on
small random weights (\`test/fixtures/networks\`).

All of them are scored and trained. \`warp trace\`, \`warp merge\` and \`warp inspect\` take any architecture, also
those that are not in this table.

| family | classifier | language model | bases | what is and is not covered |
|---|---|---|---|---|
${rows.join('\n')}

A field of \`config.json\` that changes the computation and is not supported is refused by name and value: other
activations (CONFIG_ACTIVATION), scaling of positions other than linear and llama3 (CONFIG_ROPE_SCALING), heads that do
not divide (CONFIG_HEADS, CONFIG_KV_HEADS, CONFIG_HEAD_DIM), kinds of layers (CONFIG_LAYER_TYPES), other switches
(CONFIG_UNSUPPORTED). A window that no text can fill is as none. Base and reference must be the same network: where
theta, heads of keys, an epsilon or anything else that is computed differs, the pair is refused (PAIR_CONFIG,
PAIR_SIZES); a longest text that no weight depends on is only noted.
`
}

module.exports = { file, text }

if (require.main === module) {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text())
}
