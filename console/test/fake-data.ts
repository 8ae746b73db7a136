/** An invented carrier, the same on each start but for the clock: for developing and testing without a switch. */
import type { Account, MappingGateway, Parameter, Rate, RateGroup, RoutingGateway } from '../src/api/resources';
import { decimal, round, toText, trim } from '../src/lib/decimal';
import { callerRouting, gatewayRouting, noLists } from './fake-routing';

/** Small and repeatable (mulberry32). */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const chance = seeded(7);
export const between = (from: number, to: number) => from + Math.floor(chance() * (to - from + 1));
export const pick = <T>(list: readonly T[]): T => list[Math.floor(chance() * list.length)] as T;
export const digits = (n: number) => Array.from({ length: n }, () => between(0, 9)).join('');
export const iso = (ms: number) => new Date(ms).toISOString();

type Named = { name: string; currency?: string };
const numbered = <T extends Named>(list: T[]) => list.map((item, i) => ({ ...item, id: String(i + 1), version: '1' }));

const account = (
  name: string,
  kind: Account['kind'],
  balance: string,
  more: Partial<Account> = {},
): Omit<Account, 'id' | 'version'> => ({
  name,
  kind,
  number: '',
  agent: null,
  payment: kind === 'customer' ? 'prepaid' : 'postpaid',
  currency: 'USD',
  credit_limit: kind === 'customer' ? '0' : null,
  rate_group: kind === 'customer' ? 'retail' : name,
  status: 'normal',
  valid_until: null,
  anti_overdraft: kind === 'customer',
  max_concurrency: null,
  max_cps: null,
  max_minutes_per_day: null,
  max_minutes_per_month: null,
  max_money_per_day: null,
  max_money_per_month: null,
  time_zone: 'UTC',
  tax_rate: '0',
  low_balance: null,
  lists: noLists,
  contacts: '',
  low: false,
  owed: '0',
  prepaid_left: '0',
  income: '0',
  notes: '',
  balance,
  reserved: '0',
  available: kind === 'customer' ? balance : null,
  calls: 0,
  state: 'normal',
  ...more,
});

export const accounts: Account[] = numbered([
  account('Kite Telecom', 'customer', '1284.0651', { max_concurrency: 200 }),
  account('Delta Minutes', 'customer', '18.4400', { payment: 'postpaid', credit_limit: '500', max_cps: 10 }),
  account('Baltic Voice', 'customer', '342.9800'),
  account('Señal Andina', 'customer', '-0.0042', { state: 'no_money', available: '0' }),
  account('Old Harbour', 'customer', '77.10', {
    status: 'locked',
    state: 'locked',
    notes: 'Fraud case of 14 November',
  }),
  account('northstar', 'vendor', '-211.7304'),
  account('meridian', 'vendor', '-96.0211'),
  account('lowcost', 'vendor', '-12.4800'),
]);

export const rateGroups: RateGroup[] = numbered(
  ['retail', 'northstar', 'meridian', 'lowcost'].map((name) => ({
    name,
    currency: 'USD',
    time_zone: 'UTC',
    price_change: 'next_call' as const,
    inherits: null,
    mark_up: '0',
    mark_up_decimals: 6,
    notes: name === 'retail' ? 'Selling prices' : '',
    rates_count: 0,
  })),
);

export const AREAS: [prefix: string, area: string, price: string][] = [
  ['880', 'Bangladesh', '0.0300'],
  ['88017', 'Bangladesh mobile', '0.0360'],
  ['44', 'United Kingdom', '0.0120'],
  ['447', 'United Kingdom mobile', '0.0270'],
  ['34', 'Spain', '0.0099'],
  ['346', 'Spain mobile', '0.0210'],
  ['86', 'China', '0.0180'],
  ['51', 'Peru', '0.0240'],
  ['519', 'Peru mobile', '0.0310'],
  ['1', 'United States', '0.008105'],
];

const rate = (prefix: string, area: string, price: string, first: number, cycle: number): Rate => ({
  prefix,
  area,
  price_per_minute: price,
  first_period: first,
  cycle,
  first_period_price: null,
  connection_fee: '0',
  minimum_charge: '0',
  free_seconds: 0,
  locked: false,
});

const percentOf = (price: string, percent: number) =>
  toText(trim(round({ units: decimal(price).units * BigInt(percent), scale: decimal(price).scale + 2 }, 6), 4));

/** Rates of each group by its name. */
export const rates = new Map<string, Rate[]>([
  ['retail', AREAS.map(([p, a, price]) => rate(p, a, price, p === '880' ? 60 : 1, p === '880' ? 6 : 1))],
  ['northstar', AREAS.map(([p, a, price]) => rate(p, a, percentOf(price, 70), 1, 1))],
  ['meridian', AREAS.map(([p, a, price]) => rate(p, a, percentOf(price, 82), 1, 1))],
  ['lowcost', AREAS.slice(0, 4).map(([p, a, price]) => rate(p, a, percentOf(price, 55), 60, 60))],
]);
// A long deck, so that scrolling and paging by cursor have something to do.
rates
  .get('retail')
  ?.push(...Array.from({ length: 900 }, (_, i) => rate(`9${100 + i}`, `Testland ${i + 1}`, `0.0${1000 + i}`, 1, 1)));

const figures = { calls: 0, cps: 0, asr: '48.1', acd_s: 163 };

const mapping = (
  name: string,
  of: string,
  addresses: string[],
  more: Partial<MappingGateway> = {},
): Omit<MappingGateway, 'id' | 'version'> => ({
  name,
  account: of,
  enabled: true,
  authentication: 'ip',
  addresses,
  username: null,
  has_password: false,
  called_prefixes: [],
  caller_rewrite: [],
  called_rewrite: [],
  caller_source: 'from',
  called_source: 'request_uri',
  support_privacy: false,
  routing: callerRouting,
  reply_address: 'socket',
  request_address: 'socket',
  max_cps: 50,
  max_concurrency: 500,
  parameters: {},
  notes: '',
  ...figures,
  ...more,
});

export const mappingGateways: MappingGateway[] = numbered([
  mapping('kite-1', 'Kite Telecom', ['198.51.100.7', '198.51.100.8'], { parameters: { SS_SIP_TIMEOUT_RINGING: '60' } }),
  mapping('delta-pbx', 'Delta Minutes', ['203.0.113.40:5070'], { authentication: 'ip-port', max_concurrency: 60 }),
  mapping('baltic-sbc', 'Baltic Voice', ['198.51.100.64/28'], { max_concurrency: null }),
  mapping('andina', 'Señal Andina', [], { authentication: 'password', username: 'andina', has_password: true }),
  mapping('harbour', 'Old Harbour', ['192.0.2.77'], { enabled: false, asr: null, acd_s: null }),
]);

const routing = (
  name: string,
  of: string,
  address: string,
  priority: number,
  more: Partial<RoutingGateway> = {},
): Omit<RoutingGateway, 'id' | 'version'> => ({
  name,
  account: of,
  enabled: true,
  address,
  transport: 'udp',
  username: null,
  has_password: false,
  prefixes: AREAS.map(([p]) => p).filter((p) => p.length <= 3),
  priority,
  max_cps: null,
  max_concurrency: 500,
  failover_codes: null,
  follow_redirects: false,
  lowest_profit_per_minute: null,
  max_price_per_minute: null,
  check_rate: true,
  caller_rewrite: [],
  called_rewrite: [],
  rate_rewritten: false,
  asserted_identity: 'none',
  preferred_identity: 'none',
  remote_party_id: 'none',
  privacy: 'none',
  asserted_rewrite: [],
  local_domain: false,
  extra_headers: [],
  caller_pool: [],
  caller_pool_order: 'random',
  caller_pool_multiplexes: null,
  routing: gatewayRouting,
  reply_address: 'socket',
  request_address: 'socket',
  dynamic: false,
  register: false,
  register_domain: null,
  authentication_user: null,
  register_expires: null,
  check_interval: null,
  online: 'unchecked',
  last_answer_at: null,
  registration: 'none',
  registration_answer: null,
  registration_expires_in_s: null,
  registration_retry_in_s: null,
  resting_s: 0,
  parameters: {},
  notes: '',
  ...figures,
  ...more,
});

export const routingGateways: RoutingGateway[] = numbered([
  routing('northstar-1', 'northstar', '203.0.113.10:5060', 1, { asr: '61.4' }),
  routing('meridian-1', 'meridian', '203.0.113.20:5060', 2, { asr: '52.9', lowest_profit_per_minute: '0.002' }),
  routing('lowcost-1', 'lowcost', '192.0.2.10:5080', 3, {
    asr: '21.7',
    acd_s: 88,
    failover_codes: [503, 480],
    transport: 'tcp',
  }),
  routing('meridian-2', 'meridian', '203.0.113.21:5060', 4, { enabled: false, asr: null, acd_s: null }),
]);

const parameter = (
  name: string,
  group: string,
  type: Parameter['type'],
  value: string,
  range: string,
  unit: string,
  help: string,
  more: Partial<Parameter> = {},
): Parameter => ({
  name,
  aliases: [],
  group,
  type,
  value,
  default: value,
  unit,
  range,
  choices: [],
  gateway: false,
  start: false,
  help,
  changed: false,
  ...more,
});

export const parameters: Parameter[] = [
  parameter(
    'SS_SIP_RESEND_INTERVAL',
    'sip',
    'intervals',
    '0.5,1,2,4,4,4',
    'waits in seconds',
    's',
    'Waits between copies of an unanswered request over UDP.',
  ),
  parameter(
    'SS_SIP_TIMEOUT_INVITE',
    'sip',
    'whole',
    '10',
    '1–120 s',
    's',
    'How long an INVITE may stay without any response.',
    { gateway: true },
  ),
  parameter(
    'SS_SIP_TIMEOUT_RINGING',
    'sip',
    'whole',
    '120',
    '1–600 s',
    's',
    'How long it may ring without an answer.',
    { gateway: true },
  ),
  parameter(
    'SS_SIP_SESSION_TTL',
    'call-length',
    'whole',
    '600',
    '0 (off) or 90–86400 s',
    's',
    'Session-Expires of a call.',
    { aliases: ['SS_SESSION_TIMER'], gateway: true },
  ),
  parameter(
    'SS_SIP_AUTHENTICATION_CODE',
    'sip',
    'choice',
    '407',
    '401, 407',
    '',
    'The response that challenges a call.',
    { choices: ['401', '407'] },
  ),
  parameter(
    'SS_REPLY_UNAUTHORIZED',
    'protection',
    'switch',
    'Off',
    'On or Off',
    '',
    'Strangers get a 403; otherwise they get silence.',
  ),
  parameter(
    'SS_MAX_CPS',
    'protection',
    'whole',
    '200',
    '0 (no bound) or 1–100000',
    '',
    'New calls a second, for the whole switch.',
    { default: '0', changed: true },
  ),
  parameter(
    'SS_MEDIAPROXYMODE',
    'media',
    'choice',
    'Auto',
    'Off, Auto, On, Force',
    '',
    'Whether media goes through the switch.',
    { choices: ['Off', 'Auto', 'On', 'Force'], gateway: true },
  ),
  parameter('SS_MEDIAPROXYPORT_START', 'media', 'whole', '10000', '1024–65535', '', 'First port for RTP and RTCP.', {
    start: true,
  }),
  parameter(
    'SS_SIP_USER_AGENT',
    'sip',
    'text',
    'Tandem',
    'up to 64 characters',
    '',
    'What the switch calls itself in User-Agent and Server.',
  ),
];
