#!/usr/bin/env node
import { main } from './frame.js'
import { makeProgram } from './program.js'

void main(makeProgram(), process.argv.slice(2))
