import { expect, test } from 'vitest';
import { add, compare, decimal, parseDecimal, round, share, subtract, toText, trim } from '../src/lib/decimal';
import { amount, count, duration, minutesSeconds, money, price, seconds, sinceStart } from '../src/lib/format';

test.each([
  ['12.50', '12.50'],
  ['-0.0042', '-0.0042'],
  ['0', '0'],
  ['99999999999999999999.00000001', '99999999999999999999.00000001'],
])('%s is read exactly', (text, same) => expect(toText(decimal(text))).toBe(same));

test.each(['', '.', '1.', '.5', '1,5', '1e3', '+1', '--1', '1.2.3', 'NaN'])('%j is not an amount', (text) => {
  expect(parseDecimal(text)).toBeNull();
});

test('sums that floats get wrong', () => {
  expect(toText(add(decimal('0.1'), decimal('0.2')))).toBe('0.3');
  expect(toText(add(decimal('1284.0651'), decimal('100.10')))).toBe('1384.1651');
  expect(toText(subtract(decimal('0.00'), decimal('0.01')))).toBe('-0.01');
  expect(compare(decimal('1.10'), decimal('1.1'))).toBe(0);
});

test.each([
  ['1.005', 2, '1.01'],
  ['-1.005', 2, '-1.01'],
  ['1.004', 2, '1.00'],
  ['2', 2, '2.00'],
])('%s at %i decimals is %s', (text, places, rounded) => expect(toText(round(decimal(text), places))).toBe(rounded));

test('a share of a price by the minute', () => {
  expect(toText(trim(share(decimal('0.0180'), 161, 60), 4))).toBe('0.0483');
  expect(toText(trim(share(decimal('0.0001'), 1, 60), 4))).toBe('0.0000016667');
});

test.each([
  ['1284.0651', 2, '1,284.07'],
  ['-12.5', 2, '\u221212.50'],
  ['1000000', 2, '1,000,000.00'],
  ['0.0241', 4, '0.0241'],
  ['-0.0042', 2, '\u22120.0042'],
  ['0.00', 2, '0.00'],
])('money %s at %i is %s', (text, places, shown) => expect(money(text, places)).toBe(shown));

test('what is missing is a dash, and the currency follows', () => {
  expect(money(null)).toBe('–');
  expect(money('abc')).toBe('–');
  expect(amount('10', 'USD')).toBe('10.00 USD');
});

test.each([
  ['0.0081', '0.0081'],
  ['0.008105', '0.008105'],
  ['0.01', '0.0100'],
  ['0.0100000', '0.0100'],
])('price %s is %s', (text, shown) => expect(price(text)).toBe(shown));

test('durations', () => {
  expect(duration(0)).toBe('00:00:00');
  expect(duration(161.9)).toBe('00:02:41');
  expect(duration(100 * 3600 + 59)).toBe('100:00:59');
  expect(duration(-3)).toBe('00:00:00');
  expect(duration(null)).toBe('–');
  expect(minutesSeconds(163)).toBe('02:43');
  expect(seconds(4210)).toBe('4.2\u2009s');
  expect(seconds(31)).toBe('31\u2009ms');
  expect(sinceStart(61_007)).toBe('01:01.007');
});

test('counts are grouped', () => {
  expect(count(1234567)).toBe('1,234,567');
  expect(count(999)).toBe('999');
});
