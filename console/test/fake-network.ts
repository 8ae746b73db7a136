/** Invented phones, registrations, changes, and the analysis of a call. */
import type {
  Calendar,
  CallAnalysis,
  Cdr,
  ConfigChange,
  GatewayGroup,
  NumberList,
  Phone,
  RateImport,
  Registration,
} from '../src/api/resources';

const iso = (ms: number) => new Date(ms).toISOString();
const now = Date.now();

const contact = (number: string, host: string, agent: string): Registration['contacts'][number] => ({
  uri: `sip:${number}@${host}:5060`,
  source: `${host}:5060`,
  transport: 'udp',
  user_agent: agent,
  q: '1',
  path: [],
  behind_nat: host.startsWith('10.'),
  registered_at: iso(now - 7_200_000),
  renewed_at: iso(now - 60_000),
  expires_at: iso(now + 3_540_000),
});

const phone = (number: string, more: Partial<Phone>): Phone =>
  ({
    id: number,
    version: '1',
    name: number,
    number,
    account: 'Kite Telecom',
    enabled: true,
    username: null,
    has_password: true,
    display_number: null,
    call_level: 'international',
    allowed_destinations: [],
    rate_group: null,
    max_concurrency: 2,
    max_contacts: 2,
    ring_seconds: 30,
    do_not_disturb: false,
    forward_always: null,
    forward_busy: null,
    forward_no_answer: '34911000111',
    forward_not_reachable: null,
    parameters: {},
    notes: '',
    calls: 0,
    online: false,
    registration: null,
    ...more,
  }) as Phone;

const registration = (kind: string, name: string, contacts: Registration['contacts']): Registration => ({
  id: `${kind}:${name}`,
  kind,
  name,
  contacts,
  calls: 1,
});

export const registrations: Registration[] = [
  registration('phone', '1001', [
    contact('1001', '10.1.2.3', 'Yealink SIP-T46U 108.86'),
    contact('1001', '198.51.100.90', 'baresip v3.0'),
  ]),
  registration('mapping_gateway', 'andina', [contact('andina', '198.51.100.91', 'Asterisk PBX 20.5')]),
];

export const phones: Phone[] = [
  phone('1001', { online: true, calls: 1, registration: registrations[0] }),
  phone('1002', { do_not_disturb: true }),
  phone('1003', { enabled: false }),
];

export const changes: ConfigChange[] = [
  {
    version: '2',
    at: iso(now - 3_600_000),
    author: 'admin',
    source: '127.0.0.1',
    undoes: null,
    items: [
      {
        kind: 'routing_gateway',
        name: 'meridian-1',
        before: { priority: 2, prefixes: ['44'] },
        after: { priority: 1, prefixes: ['44', '49'] },
      },
    ],
  },
  {
    version: '1',
    at: iso(now - 7_200_000),
    author: 'admin',
    source: '',
    undoes: null,
    items: [{ kind: 'account', name: 'Kite Telecom', before: null, after: { name: 'Kite Telecom', currency: 'USD' } }],
  },
];

export const calendars: Calendar[] = [
  {
    id: '1',
    version: '1',
    name: 'Office hours',
    open: true,
    time_zone: 'Europe/Madrid',
    hours: 'Mon-Fri 08:00-18:00',
    holidays: ['12-25'],
    special_days: [{ day: '2026-12-24', hours: '08:00-12:00' }],
    notes: '',
  },
];

export const gatewayGroups: GatewayGroup[] = [
  { id: '1', version: '1', name: 'Premium', max_concurrency: 800, max_cps: null, notes: '', calls: 42, cps: 1 },
];

export const numberLists: NumberList[] = [
  { id: '1', version: '1', name: 'Known fraud', system: 'called_black', notes: '', numbers_count: 1284 },
];

export const numbers = ['8801700000001', '8801700000002', '90*'];

export const rateImport: RateImport = {
  id: '1',
  name: 'northstar-2026-12.csv',
  state: 'ready',
  started_by: 'admin',
  started_at: iso(now - 60_000),
  applied_by: null,
  heading_line: 3,
  columns: { codes: 'Code', price: 'Rate' },
  decimal_mark: 'point',
  date_order: null,
  replace: false,
  rows_read: 12_000,
  good_rows: 11_998,
  bad_rows: 2,
  notes: 1,
  codes: 14_210,
  new: 12,
  cheaper: 310,
  dearer: 45,
  changed: 3,
  same: 13_840,
  gone: 0,
  faults: [
    { line: 17, column: 'C', reason: 'expected a price, found "n/a"' },
    { line: 90, column: '', reason: 'the code 44 stands twice' },
  ],
  differences: [
    { prefix: '447', area: 'United Kingdom mobile', before: '0.021', after: '0.0195' },
    { prefix: '8801', area: 'Bangladesh mobile', before: null, after: '0.031' },
  ],
  below_cost: [{ prefix: '447', price: '0.0195', cost: '0.02', rate_group: 'retail' }],
  below_cost_count: 1,
  failure: null,
};

const INVITE = 'INVITE sip:8801712345678@203.0.113.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7\r\nMax-Forwards: 70\r\n';

export function analysisOf(cdr: Cdr): CallAnalysis {
  const at = cdr.start;
  const row = (after_ms: number, from: number, to: number, label: string, again = false) => ({
    at,
    after_ms,
    from,
    to,
    label,
    again,
    text: INVITE,
    source: '198.51.100.7:5060',
    destination: '203.0.113.1:5060',
    transport: 'udp',
  });
  return {
    id: cdr.id,
    live: false,
    captured: true,
    left_out: 3,
    lanes: [cdr.mapping_gateway ?? 'caller', 'switch', cdr.routing_gateway ?? 'gateway'],
    ladder: [
      row(0, 0, 1, 'INVITE'),
      row(1, 1, 0, '100 Trying'),
      row(12, 1, 2, 'INVITE'),
      row(512, 1, 2, 'INVITE', true),
      row(900, 2, 1, '200 OK'),
    ],
    findings: [
      {
        key: 'silent_side',
        severity: 'fault',
        side: 'caller',
        text: 'Nothing was heard from the caller for 12 s.',
        advice: 'Look at the NAT or firewall in front of the caller.',
      },
      { key: 'retransmissions', severity: 'warning', side: 'gateway', text: 'One INVITE was sent twice.', advice: '' },
    ],
    events: [{ at, area: 'routing', text: 'northstar-1 was chosen by priority 1' }],
    sessions: [
      {
        received: 'offer of the caller',
        sent: 'offer to northstar-1',
        changes: ['The media address is ours.'],
        lines: [
          { received: 'v=0', sent: 'v=0', changed: false },
          { received: 'c=IN IP4 198.51.100.7', sent: 'c=IN IP4 203.0.113.1', changed: true },
        ],
      },
    ],
    media: [],
    record: cdr as unknown as CallAnalysis['record'],
  };
}
