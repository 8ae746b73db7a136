/** Invented calls, records and ledgers of the invented carrier. */
import type { Attempt, Call, CdrDetail, CdrRate, LedgerEntry, Rate, RoutingGateway } from '../src/api/resources';
import { billOf, sumOf, type Terms } from '../src/lib/billing';
import { add, decimal, negate, round, subtract, toText, trim } from '../src/lib/decimal';
import {
  AREAS,
  accounts,
  between,
  chance,
  digits,
  iso,
  mappingGateways,
  pick,
  rates,
  routingGateways,
} from './fake-data';

/** The rate of the longest prefix that begins the number. */
export function rateFor(group: string, number: string): Rate | null {
  const matching = (rates.get(group) ?? []).filter((r) => number.startsWith(r.prefix));
  return matching.sort((a, b) => b.prefix.length - a.prefix.length)[0] ?? null;
}

function priced(group: string, number: string, talkSeconds: number): CdrRate | null {
  const found = rateFor(group, number);
  if (!found) return null;
  const bill = billOf(talkSeconds, found as Terms, '0');
  const total = toText(trim(round(sumOf(bill.steps.filter((s) => s.kind !== 'rounding')), 4), 4));
  return {
    rate_group: group,
    prefix: found.prefix,
    area: found.area ?? '',
    price_per_minute: found.price_per_minute,
    first_period: found.first_period ?? 1,
    cycle: found.cycle ?? 1,
    first_period_price: null,
    connection_fee: '0',
    minimum_charge: '0',
    free_seconds: 0,
    sections: [],
    currency: 'USD',
    billed_s: talkSeconds,
    charged_s: bill.chargedSeconds,
    amount: total,
  };
}

const FAILURES = [
  { end_reason: 'callee_busy', sip_code: 486, q850: 17, ended_by: 'callee' },
  { end_reason: 'no_answer', sip_code: 408, q850: 19, ended_by: 'switch' },
  { end_reason: 'caller_cancelled', sip_code: 487, q850: 16, ended_by: 'caller' },
  { end_reason: 'all_gateways_failed', sip_code: 503, q850: 34, ended_by: 'callee' },
  { end_reason: 'number_unknown', sip_code: 404, q850: 1, ended_by: 'callee' },
] as const;

const customers = () => mappingGateways.filter((g) => g.enabled);
const vendors = () => routingGateways.filter((g) => g.enabled);
export const newNumber = () => pick(AREAS)[0] + digits(8);

export function candidatesFor(called: string): CdrDetail['route']['candidates'] {
  const sale = rateFor('retail', called);
  return routingGateways.map((g) => {
    const cost = rateFor(g.account, called);
    const base = {
      gateway: g.name,
      priority: g.priority,
      prefix: cost?.prefix ?? '',
      cost_per_minute: cost?.price_per_minute ?? null,
    };
    const margin =
      cost && sale ? toText(subtract(decimal(sale.price_per_minute), decimal(cost.price_per_minute))) : null;
    if (!g.enabled) return { ...base, margin_per_minute: margin, verdict: 'disabled', reason: 'switched off' };
    if (!cost)
      return {
        ...base,
        margin_per_minute: null,
        verdict: 'no_clearing_rate',
        reason: `${g.account} has no rate for ${called}`,
      };
    return { ...base, margin_per_minute: margin, verdict: 'kept', reason: null };
  });
}

export function routeFor(gateway: string, of: string, caller: string, called: string): CdrDetail['route'] {
  const sale = rateFor('retail', called);
  return {
    steps: [
      { step: 'source', outcome: 'passed', detail: `mapping gateway ${gateway} of account ${of}` },
      { step: 'numbers', outcome: 'passed', detail: `caller ${caller}, called ${called}` },
      { step: 'account', outcome: 'passed', detail: 'normal, balance 1284.0651 USD, no limit reached' },
      sale
        ? { step: 'rate', outcome: 'passed', detail: `prefix ${sale.prefix}, ${sale.price_per_minute} USD per minute` }
        : { step: 'rate', outcome: 'failed', detail: `no rate in retail for ${called}` },
    ],
    candidates: sale ? candidatesFor(called) : [],
  };
}

let nextCall = 1;
const newCallId = () => `01JD${String(nextCall++).padStart(8, '0')}`;

/** A finished call that began at `startMs`. */
export function makeCdr(startMs: number): CdrDetail {
  const from = pick(customers());
  const caller = `34${digits(9)}`;
  const callee = newNumber();
  const answered = chance() < 0.55;
  const gateway = pick(vendors().filter((g) => rateFor(g.account, callee)));
  const pdd = between(800, 5200);
  const talkMs = answered ? between(3, 420) * 1000 + between(0, 999) : 0;
  const rerouted = chance() < 0.3;
  const first = rerouted ? (vendors().find((g) => g.name !== gateway.name) ?? gateway) : gateway;
  const failedMs = rerouted ? 380 : 0;
  const answerMs = startMs + failedMs + pdd + between(1500, 9000);
  const endMs = answered ? answerMs + talkMs : answerMs + between(100, 12000);
  const failure = pick(FAILURES);
  const seconds = Math.ceil(talkMs / 1000);
  const sale = answered ? priced('retail', callee, seconds) : null;
  const cost = answered ? priced(gateway.account, callee, seconds) : null;
  const attempt = (
    g: RoutingGateway,
    start: number,
    more: Pick<Attempt, 'result' | 'sip_code'> & Partial<Attempt>,
  ): Attempt => ({
    gateway: g.name,
    account: g.account,
    called: callee,
    caller,
    start: iso(start),
    ringing: null,
    end: iso(start + 360),
    q850: 34,
    text: null,
    call_id: `b-${digits(6)}@203.0.113.20`,
    remote: g.address,
    ...more,
  });
  const last: Pick<Attempt, 'result' | 'sip_code'> & Partial<Attempt> = answered
    ? { ringing: iso(startMs + failedMs + pdd), end: iso(endMs), result: 'answered', sip_code: 200, q850: 0 }
    : {
        ringing: failure.end_reason === 'no_answer' ? iso(startMs + failedMs + pdd) : null,
        end: iso(endMs),
        result: failure.end_reason,
        sip_code: failure.end_reason === 'no_answer' ? 0 : failure.sip_code,
        q850: failure.q850,
      };
  const packets = Math.floor(talkMs / 20);
  const media = (lost: number) => ({
    packets_in: packets - lost,
    packets_out: packets,
    bytes_in: (packets - lost) * 172,
    bytes_out: packets * 172,
    lost,
    rejected: 0,
    jitter_ms: 1 + chance() * 9,
    jitter_max_ms: 10,
    remote: '198.51.100.7:16402',
  });
  return {
    id: newCallId(),
    start: iso(startMs),
    ringing: answered ? iso(startMs + failedMs + pdd) : null,
    answer: answered ? iso(answerMs) : null,
    end: iso(endMs),
    pdd_ms: failedMs + pdd,
    duration_ms: talkMs,
    billed_s: sale?.charged_s ?? 0,
    caller,
    callee,
    callee_sent: callee,
    caller_sent: caller,
    account: from.account,
    vendor: gateway.account,
    mapping_gateway: from.name,
    routing_gateway: gateway.name,
    ...(answered
      ? { end_reason: 'normal_release', ended_by: pick(['caller', 'callee'] as const), sip_code: 200, q850: 16 }
      : failure),
    end_text: null,
    rate: sale,
    cost_rate: cost,
    fee: sale?.amount ?? null,
    tax: null,
    agents: [],
    below_cost: false,
    cost: cost?.amount ?? null,
    profit: sale && cost ? toText(subtract(decimal(sale.amount), decimal(cost.amount))) : null,
    currency: sale ? 'USD' : null,
    codec_a: answered ? 'PCMU' : null,
    codec_b: answered ? 'PCMU' : null,
    media: 'relayed',
    media_a: media(0),
    media_b: media(Math.min(packets, between(0, 4))),
    call_id_a: `a-${digits(8)}@${from.addresses[0] ?? '198.51.100.9'}`,
    call_id_b: `b-${digits(8)}@203.0.113.1`,
    remote_a: `${(from.addresses[0] ?? '198.51.100.9').split(/[:/]/)[0]}:5060`,
    remote_b: gateway.address,
    user_agent_a: 'Oktell',
    user_agent_b: 'vendor-sbc',
    attempts_count: rerouted ? 2 : 1,
    corrections: [],
    attempts: [
      ...(rerouted
        ? [attempt(first, startMs + 12, { result: 'gateway_failure', sip_code: 503, text: 'No circuit available' })]
        : []),
      attempt(gateway, startMs + 12 + failedMs, last),
    ],
    route: routeFor(from.name, from.account, caller, callee),
    silent: [],
  };
}

export function makeCall(startMs: number): Call {
  const from = pick(customers());
  const callee = newNumber();
  const gateway = pick(vendors().filter((g) => rateFor(g.account, callee)));
  const poor = chance() < 0.06;
  const leg = (remote: string): Call['a'] => ({
    call_id: `${digits(8)}@${remote.split(':')[0]}`,
    remote,
    codec: 'PCMU',
    packets_in: 0,
    packets_out: 0,
    loss_percent: poor ? 3.4 : Math.round(chance() * 4) / 10,
    jitter_ms: poor ? 61 : Math.round(chance() * 140) / 10,
    media_remote: `${remote.split(':')[0]}:${between(8000, 8999) * 2}`,
  });
  return {
    id: newCallId(),
    state: 'setup',
    silent: [],
    start: iso(startMs),
    answer: null,
    duration_s: 0,
    caller: `34${digits(9)}`,
    callee,
    account: from.account,
    mapping_gateway: from.name,
    routing_gateway: gateway.name,
    vendor: gateway.account,
    attempt: chance() < 0.2 ? 2 : 1,
    codec: 'PCMU',
    pdd_ms: null,
    a: leg(`${(from.addresses[0] ?? '198.51.100.9').split(/[:/]/)[0]}:5060`),
    b: leg(gateway.address),
    rate: rateFor('retail', callee)?.price_per_minute ?? null,
    cost_rate: rateFor(gateway.account, callee)?.price_per_minute ?? null,
    charged_so_far: '0',
    reserved: '0.0360',
    media: 'relayed',
    end_reason: null,
  };
}

/** Ledgers by account id, newest first, each ending in an opening balance. */
export const ledgers = new Map<string, LedgerEntry[]>(
  accounts.map((a) => {
    const entries: LedgerEntry[] = [];
    let balance = decimal(a.balance);
    for (let i = 40; i > 0; i--) {
      const change = i % 13 === 0 ? decimal('100.00') : negate(decimal(`0.0${between(100, 999)}`));
      entries.push({
        seq: String(i + 1),
        at: iso(Date.now() - (41 - i) * 47_000),
        kind: i % 13 === 0 ? 'payment' : a.kind === 'vendor' ? 'call_cost' : 'call_charge',
        amount: toText(change),
        balance_before: toText(subtract(balance, change)),
        balance_after: toText(balance),
        call_id: i % 13 === 0 ? null : newCallId(),
        by: i % 13 === 0 ? 'admin' : 'switch',
        note: i % 13 === 0 ? 'Bank transfer 2211-4' : '',
        key: null,
      });
      balance = add(balance, negate(change));
    }
    entries.push({
      seq: '1',
      at: iso(Date.now() - 86_400_000),
      kind: 'opening',
      amount: toText(balance),
      balance_before: '0',
      balance_after: toText(balance),
      call_id: null,
      by: 'admin',
      note: '',
      key: null,
    });
    return [a.id, entries];
  }),
);
