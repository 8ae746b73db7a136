/** Takes the charge of one call apart into steps that add up, so that an operator can follow each figure. */
import { add, compare, type Decimal, decimal, isZero, share, subtract } from './decimal';

export interface Terms {
  price_per_minute: string;
  first_period: number;
  cycle: number;
  first_period_price?: string | null;
  connection_fee?: string | null;
  minimum_charge?: string | null;
  free_seconds?: number | null;
}

export type StepKind = 'free' | 'firstPeriod' | 'cycles' | 'connectionFee' | 'minimum' | 'rounding';

export interface BillingStep {
  kind: StepKind;
  /** Seconds that the step covers; 0 for fees. */
  seconds: number;
  /** Number of cycles, where it is cycles. */
  times: number;
  amount: Decimal;
}

export interface Bill {
  talkSeconds: number;
  chargedSeconds: number;
  steps: BillingStep[];
  total: Decimal;
}

const ZERO: Decimal = { units: 0n, scale: 0 };

/** `fee` is what the switch charged; what the steps miss of it is shown as rounding, so the column always adds up. */
export function billOf(talkSeconds: number, terms: Terms, fee: string): Bill {
  const total = decimal(fee);
  const free = terms.free_seconds ?? 0;
  if (talkSeconds <= free) {
    const step: BillingStep = { kind: 'free', seconds: talkSeconds, times: 0, amount: ZERO };
    return { talkSeconds, chargedSeconds: 0, steps: withRounding([step], total), total };
  }
  const steps = periodSteps(talkSeconds, terms);
  const connection = decimal(terms.connection_fee ?? '0');
  if (!isZero(connection)) steps.push({ kind: 'connectionFee', seconds: 0, times: 0, amount: connection });
  const minimum = decimal(terms.minimum_charge ?? '0');
  const sum = sumOf(steps);
  if (compare(sum, minimum) < 0) steps.push({ kind: 'minimum', seconds: 0, times: 0, amount: subtract(minimum, sum) });
  const chargedSeconds = steps.reduce((n, s) => n + s.seconds, 0);
  return { talkSeconds, chargedSeconds, steps: withRounding(steps, total), total };
}

function periodSteps(talkSeconds: number, terms: Terms): BillingStep[] {
  const perMinute = decimal(terms.price_per_minute);
  const first = Math.max(0, terms.first_period);
  const cycle = Math.max(1, terms.cycle);
  const steps: BillingStep[] = [];
  if (first > 0) {
    const own = terms.first_period_price == null ? share(perMinute, first, 60) : decimal(terms.first_period_price);
    steps.push({ kind: 'firstPeriod', seconds: first, times: 1, amount: own });
  }
  const times = Math.ceil(Math.max(0, talkSeconds - first) / cycle);
  if (times > 0) {
    steps.push({ kind: 'cycles', seconds: times * cycle, times, amount: share(perMinute, times * cycle, 60) });
  }
  return steps;
}

export const sumOf = (steps: BillingStep[]): Decimal => steps.reduce((sum, s) => add(sum, s.amount), ZERO);

function withRounding(steps: BillingStep[], total: Decimal): BillingStep[] {
  const rest = subtract(total, sumOf(steps));
  return isZero(rest) ? steps : [...steps, { kind: 'rounding', seconds: 0, times: 0, amount: rest }];
}
