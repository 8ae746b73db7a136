/** How numbers, money and times are written. Money stays text all the way; nothing here computes with it. */
import { type Decimal, decimal, isZero, parseDecimal, round, toText, trim } from './decimal';

const MINUS = '\u2212';
const THIN = '\u2009';
export const NONE = '–';

function group(text: string): string {
  const negative = text.startsWith('-');
  const [whole = '', fraction] = (negative ? text.slice(1) : text).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return (negative ? MINUS : '') + grouped + (fraction === undefined ? '' : `.${fraction}`);
}

/** "1284.0651" → "1,284.07". Totals have two decimals, single calls four. */
export function money(text: string | null | undefined, places = 2): string {
  const value = text == null ? null : parseDecimal(text);
  if (!value) return NONE;
  const rounded = round(value, places);
  // What would look like nothing but is something is written out.
  return group(toText(isZero(rounded) ? trim(value, places) : rounded));
}

export const decimalText = (value: Decimal, places = 4): string => group(toText(trim(value, places)));

/** A price or an exact amount: at least four decimals, and all that matter. */
export function price(text: string | null | undefined): string {
  const value = text == null ? null : parseDecimal(text);
  return value ? decimalText(value) : NONE;
}

export const amount = (text: string | null | undefined, currency: string | null | undefined, places = 2): string =>
  currency ? `${money(text, places)} ${currency}` : money(text, places);

/** Only for the geometry of charts and for sorting on screen, never for a figure that is shown. */
export const plotValue = (text: string): number => Number(toText(round(decimal(text), 4)));

export const count = (n: number | null | undefined): string => (n == null ? NONE : group(String(Math.round(n))));

/** A percentage that the server has already rounded. */
export const percent = (text: string | null | undefined): string => (text == null ? NONE : `${text}${THIN}%`);

export const percentOf = (n: number | null | undefined): string => (n == null ? NONE : `${n.toFixed(1)}${THIN}%`);

const two = (n: number): string => String(n).padStart(2, '0');

/** HH:MM:SS; the hours never wrap into days. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return NONE;
  const s = Math.max(0, Math.floor(seconds));
  return `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

/** MM:SS, for averages. */
export function minutesSeconds(seconds: number | null | undefined): string {
  if (seconds == null) return NONE;
  const s = Math.max(0, Math.round(seconds));
  return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
}

/** "4.2 s"; what would be 0.0 s is said in milliseconds. */
export function seconds(ms: number | null | undefined): string {
  if (ms == null) return NONE;
  return ms < 100 ? `${Math.round(ms)}${THIN}ms` : `${(ms / 1000).toFixed(1)}${THIN}s`;
}

/** mm:ss.mmm from the start of a call, for ladders. */
export function sinceStart(ms: number): string {
  const s = Math.floor(ms / 1000);
  return `${two(Math.floor(s / 60))}:${two(s % 60)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`;
}

/** Grouped whole minutes of a number of seconds. */
export const minutes = (s: number | null | undefined): string => (s == null ? NONE : count(s / 60));

export function time(iso: string | null | undefined): string {
  return iso == null ? NONE : `${day(iso)} ${clock(iso)}`;
}

export function day(iso: string): string {
  const d = new Date(iso);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function clock(iso: string | number): string {
  const d = new Date(iso);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export const clockMs = (iso: string): string =>
  `${clock(iso)}.${String(new Date(iso).getMilliseconds()).padStart(3, '0')}`;

/** "UTC+06:00" of this browser, as operators read times in their own zone. */
export function zone(at = new Date()): string {
  const offset = -at.getTimezoneOffset();
  const sign = offset < 0 ? MINUS : '+';
  return `UTC${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
}

/** Both UTC and seconds since 1970, for the tip on a time. */
export const timeTip = (iso: string): string => `${iso} · ${Math.floor(Date.parse(iso) / 1000)}`;

/** True for an amount below zero. */
export const isNegative = (text: string | null | undefined): boolean => text != null && decimal(text).units < 0n;
