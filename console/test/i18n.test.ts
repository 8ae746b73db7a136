import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { en } from '../src/i18n/en';
import { es } from '../src/i18n/es';
import { zh } from '../src/i18n/zh';

type Tree = { [name: string]: unknown };

function leaves(tree: Tree, path = ''): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const [name, value] of Object.entries(tree)) {
    if (typeof value === 'object' && value !== null)
      for (const [p, v] of leaves(value as Tree, `${path}${name}.`)) found.set(p, v);
    else found.set(path + name, value);
  }
  return found;
}

const english = leaves(en);

test.each([
  ['zh', zh],
  ['es', es],
])('%s has the same texts, none empty, and each takes the same values', (_, texts) => {
  const own = leaves(texts as unknown as Tree);
  expect([...own.keys()].sort()).toEqual([...english.keys()].sort());
  for (const [name, text] of own) {
    const original = english.get(name);
    expect(typeof text, name).toBe(typeof original);
    if (typeof text === 'string') expect(text.trim(), name).not.toBe('');
    if (typeof text === 'function' && typeof original === 'function') {
      const filled = String((text as (...v: string[]) => string)('§1', '§2', '§3'));
      const expected = String((original as (...v: string[]) => string)('§1', '§2', '§3'));
      const values = (s: string) => [...new Set(s.match(/§\d/g))].sort();
      expect(values(filled), name).toEqual(values(expected));
    }
  }
});

test('every end reason of the switch has words', () => {
  const document = JSON.parse(readFileSync(join(import.meta.dirname, '../../openapi.json'), 'utf8')) as {
    components: { schemas: Tree };
  };
  const source = readFileSync(join(import.meta.dirname, '../../crates/vocab/src/cause.rs'), 'utf8');
  const keys = [...source.matchAll(/^ {4}\w+ "([a-z_0-9]+)" \w+ \d+ \d+ \w+ "/gm)].map((m) => m[1] ?? '');
  expect(keys.length).toBeGreaterThan(30);
  for (const key of keys) expect(en.endReason, key).toHaveProperty(key);
  const verdicts = (document.components.schemas.CandidateVerdict as { enum: string[] }).enum;
  for (const verdict of verdicts) expect(en.route.verdicts, verdict).toHaveProperty(verdict);
  const states = (document.components.schemas.CallState as { enum: string[] }).enum;
  for (const state of states) expect(en.calls.states, state).toHaveProperty(state);
});
