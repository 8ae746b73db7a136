/** Exact decimals for money and prices. Amounts travel as strings; no arithmetic on them ever touches a float. */
export interface Decimal {
  /** The value times 10^scale. */
  readonly units: bigint;
  readonly scale: number;
}

const FORM = /^(-?)(\d+)(?:\.(\d+))?$/;

/** Reads "[-]digits[.digits]"; anything else is `null`. */
export function parseDecimal(text: string): Decimal | null {
  const match = FORM.exec(text.trim());
  if (!match) return null;
  const [, sign, whole = '0', fraction = ''] = match;
  const units = BigInt(whole + fraction);
  return { units: sign ? -units : units, scale: fraction.length };
}

export const decimal = (text: string): Decimal => parseDecimal(text) ?? { units: 0n, scale: 0 };

const power = (n: number): bigint => 10n ** BigInt(n);

function widen(value: Decimal, scale: number): bigint {
  return value.units * power(scale - value.scale);
}

export function add(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale);
  return { units: widen(a, scale) + widen(b, scale), scale };
}

export const negate = (a: Decimal): Decimal => ({ units: -a.units, scale: a.scale });
export const subtract = (a: Decimal, b: Decimal): Decimal => add(a, negate(b));

export function compare(a: Decimal, b: Decimal): number {
  const difference = subtract(a, b).units;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export const isZero = (a: Decimal): boolean => a.units === 0n;

/** `a × numerator ÷ denominator` at ten decimals, the precision of a price, half away from zero. */
export function share(a: Decimal, numerator: number, denominator: number): Decimal {
  const scale = Math.max(a.scale, 10);
  return { units: divideRounded(widen(a, scale) * BigInt(numerator), BigInt(denominator)), scale };
}

function divideRounded(n: bigint, by: bigint): bigint {
  const half = by / 2n;
  return n < 0n ? -((-n + half) / by) : (n + half) / by;
}

/** To exactly `places` decimals, half away from zero. */
export function round(a: Decimal, places: number): Decimal {
  if (a.scale <= places) return { units: widen(a, places), scale: places };
  return { units: divideRounded(a.units, power(a.scale - places)), scale: places };
}

/** Without trailing zeros, but with at least `places` decimals. */
export function trim(a: Decimal, places: number): Decimal {
  let { units, scale } = a;
  while (scale > places && units % 10n === 0n) {
    units /= 10n;
    scale -= 1;
  }
  return scale < places ? round({ units, scale }, places) : { units, scale };
}

/** Plain text as the API writes it. */
export function toText(a: Decimal): string {
  const digits = (a.units < 0n ? -a.units : a.units).toString().padStart(a.scale + 1, '0');
  const cut = digits.length - a.scale;
  return (a.units < 0n ? '-' : '') + digits.slice(0, cut) + (a.scale ? `.${digits.slice(cut)}` : '');
}
