import { expect, test } from 'vitest';
import { type KeyLike, KeyReader } from '../src/lib/keys';
import { limitsOf } from '../src/lib/range';
import { parseSearch, writeSearch } from '../src/lib/url';

const press = (key: string, more: Partial<KeyLike> = {}): KeyLike => ({
  key,
  ctrlKey: false,
  metaKey: false,
  altKey: false,
  typing: false,
  now: 0,
  ...more,
});

test.each<[what: string, presses: KeyLike[], last: unknown]>([
  ['g c goes to the calls', [press('g'), press('c', { now: 900 })], { do: 'go', to: '/calls' }],
  ['g and a shifted $ goes to the rates', [press('g'), press('Shift'), press('$')], { do: 'go', to: '/rates' }],
  ['g and a late c does nothing', [press('g'), press('c', { now: 1_600 })], null],
  ['g and an unknown letter does nothing', [press('g'), press('z')], null],
  ['c alone does nothing', [press('c')], null],
  ['/ filters', [press('/')], { do: 'filter' }],
  ['? helps', [press('?')], { do: 'help' }],
  ['letters in a field are letters', [press('g', { typing: true }), press('c', { typing: true })], null],
  ['/ in a field is a letter', [press('/', { typing: true })], null],
  ['Ctrl+K jumps, also from a field', [press('k', { ctrlKey: true, typing: true })], { do: 'jump' }],
])('%s', (_, presses, last) => {
  const reader = new KeyReader();
  expect(presses.map((p) => reader.read(p)).at(-1)).toEqual(last);
});

test('the address keeps filters as plain text', () => {
  expect(writeSearch({ q: '8801712345678', range: '1h', empty: '', gone: undefined })).toBe(
    '?q=8801712345678&range=1h',
  );
  expect(parseSearch('?q=8801712345678&account=Se%C3%B1al+%26+Co')).toEqual({
    q: '8801712345678',
    account: 'Señal & Co',
  });
});

test('ranges are of the calendar of the operator', () => {
  const now = new Date(2026, 10, 22, 9, 14, 3);
  expect(limitsOf('1h', now)).toEqual({ from: new Date(2026, 10, 22, 8, 14, 3).toISOString() });
  expect(limitsOf('today', now)).toEqual({ from: new Date(2026, 10, 22).toISOString() });
  expect(limitsOf('yesterday', now)).toEqual({
    from: new Date(2026, 10, 21).toISOString(),
    to: new Date(2026, 10, 22).toISOString(),
  });
  expect(limitsOf('all', now)).toEqual({});
});
