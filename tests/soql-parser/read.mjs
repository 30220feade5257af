// Reads SOQL, a JSON text a line, and says what is in it, a JSON object a line. The parser is another's; escapes are read
// here as "Quoted String Escape Sequences" of the SOQL and SOSL Reference has them.

import { createInterface } from "node:readline";

import { parseQuery } from "@jetstreamapp/soql-parser-js";

const ESCAPES = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", '"': '"', "'": "'", "\\": "\\" };

// What a literal says. In a pattern a wildcard that stands for itself comes back with a backslash, as does a backslash.
function text(literal, pattern) {
  if (!/^'[^]*'$/.test(literal) || literal.length < 2) throw new Error(`no text: ${literal}`);
  const inner = literal.slice(1, -1);
  let read = "";
  for (let at = 0; at < inner.length; at++) {
    const c = inner[at];
    if (c === "'" || c < " " || c === "\u2028" || c === "\u2029") throw new Error(`bare ${JSON.stringify(c)}`);
    if (c !== "\\") {
      read += c;
      continue;
    }
    const escape = inner[++at];
    if (escape === "u") {
      const digits = inner.slice(at + 1, at + 5);
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) throw new Error(`no code: ${digits}`);
      read += String.fromCharCode(parseInt(digits, 16));
      at += 4;
    } else if (pattern && (escape === "%" || escape === "_")) {
      read += `\\${escape}`;
    } else if (escape in ESCAPES) {
      read += pattern && escape === "\\" ? "\\\\" : ESCAPES[escape];
    } else {
      throw new Error(`no escape: ${escape}`);
    }
  }
  return read;
}

// The conditions in their order, and what joins them.
function conditions(where) {
  const read = [];
  for (let node = where; node; node = node.right) {
    const { field, operator, literalType, value, openParen = 0, closeParen = 0, ...more } = node.left ?? {};
    if (Object.keys(more).length) throw new Error(`more than a condition: ${Object.keys(more)}`);
    const condition = { open: openParen, close: closeParen, join: node.operator };
    if (field !== undefined) {
      const types = [literalType].flat();
      if (types.some((type) => type !== "STRING")) throw new Error(`other than texts: ${types}`);
      const texts = [value].flat().map((literal) => text(literal, operator === "LIKE"));
      Object.assign(condition, { field, operator, texts });
    }
    read.push(condition);
  }
  return read;
}

function read(query) {
  const { fields, sObject, where, orderBy, limit, offset, ...more } = parseQuery(query);
  if (Object.keys(more).length) throw new Error(`more than was asked: ${Object.keys(more)}`);
  return { fields: fields.map((field) => field.rawValue ?? field.field), sObject, where: conditions(where), orderBy, limit, offset };
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let answer;
  try {
    answer = read(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
