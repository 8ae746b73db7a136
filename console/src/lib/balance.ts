import { add, decimal, isZero, negate, parseDecimal, toText } from './decimal';

/** The balance that will follow a payment; `null` while the amount is not one. A refund goes out. */
export function balanceAfter(balance: string, kind: string, text: string): string | null {
  const value = parseDecimal(text);
  if (!value || isZero(value)) return null;
  return toText(add(decimal(balance), kind === 'refund' ? negate(value) : value));
}
