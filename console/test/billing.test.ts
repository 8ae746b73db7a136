import { expect, test } from 'vitest';
import { balanceAfter } from '../src/lib/balance';
import { billOf, sumOf, type Terms } from '../src/lib/billing';
import { toText, trim } from '../src/lib/decimal';

const terms = (price: string, first: number, cycle: number, more: Partial<Terms> = {}): Terms => ({
  price_per_minute: price,
  first_period: first,
  cycle,
  ...more,
});

test.each<[what: string, talk: number, terms: Terms, fee: string, charged: number, kinds: string]>([
  ['60/60', 161, terms('0.0180', 60, 60), '0.0540', 180, 'firstPeriod cycles'],
  ['1/1, rounded to four decimals', 161, terms('0.00935', 1, 1), '0.0251', 161, 'firstPeriod cycles rounding'],
  ['60/6, short', 3, terms('0.0300', 60, 6), '0.0300', 60, 'firstPeriod'],
  ['60/6, exactly one cycle more', 66, terms('0.0300', 60, 6), '0.0330', 66, 'firstPeriod cycles'],
  [
    'first period with a price of its own',
    10,
    terms('0.06', 30, 6, { first_period_price: '0.05' }),
    '0.05',
    30,
    'firstPeriod',
  ],
  ['connection fee', 60, terms('0.06', 60, 60, { connection_fee: '0.01' }), '0.07', 60, 'firstPeriod connectionFee'],
  ['minimum', 1, terms('0.06', 1, 1, { minimum_charge: '0.02' }), '0.02', 1, 'firstPeriod minimum'],
  ['free seconds', 4, terms('0.06', 1, 1, { free_seconds: 5, connection_fee: '1' }), '0', 0, 'free'],
  ['rounded up by the switch', 1, terms('0.01', 1, 1), '0.0002', 1, 'firstPeriod rounding'],
  ['no first period', 7, terms('0.06', 0, 6), '0.012', 12, 'cycles'],
])('%s', (_, talk, own, fee, charged, kinds) => {
  const bill = billOf(talk, own, fee);
  expect(bill.chargedSeconds).toBe(charged);
  expect(bill.steps.map((s) => s.kind).join(' ')).toBe(kinds);
  // Whatever the terms: the column adds up to what was charged.
  expect(toText(trim(sumOf(bill.steps), 10))).toBe(toText(trim(bill.total, 10)));
});

test.each([
  ['10.00', 'payment', '2.5', '12.50'],
  ['10.00', 'refund', '2.5', '7.50'],
  ['10.00', 'correction', '-10.01', '-0.01'],
  ['10.00', 'payment', '', null],
  ['10.00', 'payment', '0.00', null],
  ['10.00', 'payment', '1,5', null],
])('%s and a %s of %j makes %s', (before, kind, text, after) => expect(balanceAfter(before, kind, text)).toBe(after));
