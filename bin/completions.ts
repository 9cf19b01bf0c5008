// Completion scripts of shells, made from the commands' definitions.
import type { CommandFacts, OptionFacts } from './definitions.js'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

const programs = ['warp', 'warp-recover']

/** The script of a shell. */
export function completionScript(shell: Shell, commands: CommandFacts[]): string {
  return { bash, zsh, fish }[shell](commands)
}

const words = ({ options, below, arguments: args }: CommandFacts): string[] => [
  ...below,
  ...args.flatMap(({ choices }) => choices),
  ...options.flatMap(({ short, long }) => (short ? [short, long] : [long])),
]

function bash(commands: CommandFacts[]): string {
  const key = ({ path }: CommandFacts): string => ['', ...path].join('/')
  const paths = commands.slice(1).map((one) => key(one))
  const valued = commands.flatMap((one) =>
    one.options
      .filter(({ takesValue }) => takesValue)
      .map(({ short, long, choices }) => {
        const cases = [long, ...(short ? [short] : [])].map((name) => `'${key(one)} ${name}'`).join(' | ')
        const action = choices.length > 0 ? `words='${choices.join(' ')}'` : 'files=1'
        return `    ${cases}) ${action} ;;`
      }),
  )
  const listed = commands.map((one) => `    '${key(one)}') words='${words(one).join(' ')}' ;;`)
  return `# bash completion of warp; made by: warp completions bash
_warp() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path='' words='' files='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path/\${COMP_WORDS[i]}" in
      ${paths.join(' | ')}) path="$path/\${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path $prev" in
${valued.join('\n')}
  esac
  if [[ -z $words && -z $files ]]; then
    case "$path" in
${listed.map((line) => `  ${line}`).join('\n')}
    esac
    [[ $cur == -* ]] || files=1
  fi
  [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [[ -n $files && \${#COMPREPLY[@]} -eq 0 ]]; then
    compopt -o default 2>/dev/null
  fi
}
complete -F _warp ${programs.join(' ')}
`
}

const zshText = (text: string): string => text.replace(/[\\[\]:]/g, '\\$&').replaceAll("'", `'\\''`)

function zsh(commands: CommandFacts[]): string {
  const name = ({ path }: Pick<CommandFacts, 'path'>): string => ['_warp', ...path].join('_')
  const option = ({ short, long, description, takesValue, choices }: OptionFacts): string => {
    const value = !takesValue ? '' : choices.length > 0 ? `:value:(${choices.join(' ')})` : ':value:_files'
    const names = short ? `'(${short} ${long})'{${short},${long}}` : long
    return `    ${names}'[${zshText(description)}]${value}'`
  }
  const functions = commands.map((one) => {
    const lines = one.options.map(option)
    if (one.below.length === 0) {
      const [first] = one.arguments
      const choices = first?.choices ?? []
      lines.push(choices.length > 0 ? `    '1:${first.name}:(${choices.join(' ')})'` : `    '*:file:_files'`)
      return `${name(one)}() {\n  _arguments \\\n${lines.join(' \\\n')}\n}`
    }
    const described = one.below.map((below) => {
      const { description } = commands.find(({ path }) => path.join(' ') === [...one.path, below].join(' '))!
      return `    '${below}:${zshText(description)}'`
    })
    const cases = one.below.map((below) => `    ${below}) ${name({ path: [...one.path, below] })} ;;`)
    return `${name(one)}() {
  local line state
  _arguments -C \\
${lines.join(' \\\n')} \\
    '1: :->command' '*::argument:->rest'
  local -a below=(
${described.join('\n')}
  )
  case $state in
    command) _describe command below ;;
    rest) case $line[1] in
${cases.map((line) => `  ${line}`).join('\n')}
    esac ;;
  esac
}`
  })
  return `#compdef ${programs.join(' ')}
# zsh completion of warp; made by: warp completions zsh
${functions.join('\n')}
if [ "$funcstack[1]" = _warp ]; then _warp "$@"; else compdef _warp ${programs.join(' ')}; fi
`
}

const fishText = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`

function fish(commands: CommandFacts[]): string {
  const lines = commands.flatMap((one) => {
    const seen = one.path.map((word) => `__fish_seen_subcommand_from ${word}`)
    const none = one.below.length > 0 ? [`not __fish_seen_subcommand_from ${one.below.join(' ')}`] : []
    const when = [...seen, ...none].join('; and ')
    const start = `complete -c warp -n ${fishText(when || 'true')}`
    const below = one.below.map((name) => {
      const { description } = commands.find(({ path }) => path.join(' ') === [...one.path, name].join(' '))!
      return `${start} -f -a ${name} -d ${fishText(description)}`
    })
    const choices = one.arguments
      .filter((argument) => argument.choices.length > 0)
      .map((argument) => `${start} -f -a ${fishText(argument.choices.join(' '))} -d ${fishText(argument.description)}`)
    return [...below, ...choices, ...one.options.map((option) => `${start} ${fishOption(option)}`)]
  })
  return `# fish completion of warp; made by: warp completions fish
${lines.join('\n')}
complete -c warp-recover -w warp
`
}

function fishOption({ short, long, description, takesValue, choices }: OptionFacts): string {
  const names = `${short ? `-s ${short.slice(1)} ` : ''}-l ${long.slice(2)}`
  const value = !takesValue ? '' : choices.length > 0 ? ` -x -a ${fishText(choices.join(' '))}` : ' -r'
  return `${names}${value} -d ${fishText(description)}`
}
