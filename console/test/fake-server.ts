/** A switch that is not one: the REST contract and the live protocol over invented data, and the built console. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import type { Account, LedgerEntry, Rate } from '../src/api/resources';
import { add, decimal, negate, toText } from '../src/lib/decimal';
import { ledgers, rateFor, routeFor } from './fake-calls';
import * as data from './fake-data';
import { serveLive } from './fake-live';
import * as network from './fake-network';
import { Traffic } from './fake-traffic';

export const USER = 'admin';
export const PASSWORD = 'tandem';
const DIST = join(import.meta.dirname, '..', 'dist');
const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.html': 'text/html',
  '.svg': 'image/svg+xml',
};

class Refusal extends Error {
  readonly status: number;
  readonly errors: { field: string; message: string }[];
  constructor(status: number, message: string, errors: { field: string; message: string }[] = []) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

interface Ask {
  method: string;
  parts: string[];
  query: URLSearchParams;
  body: Record<string, unknown>;
  /** The body as it came. */
  text: string;
  headers: IncomingMessage['headers'];
}

type Item = { id: string; name: string; version: string };

const AREAS = ['calls', 'records', 'accounts', 'money', 'rates', 'routing', 'system', 'security'];
const RIGHTS = AREAS.flatMap((area) => ['view', 'edit', 'export'].map((action) => `${area}.${action}`));

/** Users, roles, keys, the allow list and the log. */
function newPeople() {
  const at = data.iso(Date.now() - 86_400_000);
  return {
    users: [
      {
        name: USER,
        role: 'administrator',
        disabled: false,
        account: null as string | null,
        note: '',
        second_factor: true,
        created_at: at,
      },
      {
        name: 'clerk',
        role: 'viewer',
        disabled: true,
        account: 'acme',
        note: 'on leave',
        second_factor: false,
        created_at: at,
      },
    ],
    roles: [
      { name: 'administrator', rights: RIGHTS, note: '', built_in: true },
      { name: 'viewer', rights: RIGHTS.filter((r) => r.endsWith('.view')), note: '', built_in: true },
      { name: 'night shift', rights: ['calls.view', 'calls.edit'], note: 'ends stuck calls', built_in: false },
    ],
    keys: [
      {
        id: '00ff',
        name: 'billing export',
        user: USER,
        rights: ['records.view'] as string[] | null,
        networks: ['192.0.2.0/24'],
        created_at: at,
        expires_at: null,
      },
    ],
    networks: [] as string[],
    audit: [
      {
        seq: '2',
        at,
        author: USER,
        source: '127.0.0.1',
        action: 'update',
        kind: 'parameter',
        object: 'SS_MAX_CPS',
        before: '5',
        after: '7',
      },
      {
        seq: '1',
        at,
        author: USER,
        source: '127.0.0.1',
        action: 'create',
        kind: 'account',
        object: 'acme',
        before: null,
        after: { name: 'acme', currency: 'USD' },
      },
    ],
  };
}

export async function startFake({ calls = 137, port = 0 } = {}): Promise<{ url: string; stop(): Promise<void> }> {
  const traffic = new Traffic(calls);
  const people = newPeople();
  const paid = new Map<string, unknown>();
  const signedIn = (request: IncomingMessage) => request.headers.cookie?.includes('tandem_session=fake') ?? false;

  const list = <T extends object>(
    items: T[],
    query: URLSearchParams,
    texts: (item: T) => (string | null | undefined)[],
  ) => {
    const words = (query.get('q') ?? '').toLowerCase();
    let rows = items.filter((item) => texts(item).some((text) => text?.toLowerCase().includes(words)));
    for (const name of ['kind', 'state', 'account', 'mapping_gateway', 'routing_gateway', 'end_reason', 'ended_by']) {
      const wanted = query.get(name);
      if (wanted) rows = rows.filter((item) => String(item[name as keyof T]) === wanted);
    }
    const sort = query.get('sort');
    if (sort) {
      const [key, sign] = sort.startsWith('-') ? [sort.slice(1), -1] : [sort, 1];
      const of = (item: T) => item[key as keyof T] as unknown;
      rows = [...rows].sort(
        (a, b) => sign * String(of(a) ?? '').localeCompare(String(of(b) ?? ''), 'en', { numeric: true }),
      );
    }
    const from = Number(query.get('cursor') ?? 0);
    const limit = Number(query.get('limit') ?? 100);
    const page = rows.slice(from, from + limit);
    return { items: page, next_cursor: from + limit < rows.length ? String(from + limit) : null, total: rows.length };
  };

  const find = <T extends Item>(items: T[], id: string): T => {
    const found = items.find((i) => i.id === id || i.name === id);
    if (!found) throw new Refusal(404, `there is no ${id}`);
    return found;
  };

  /** What all editable collections do alike. */
  const collection = <T extends Item>(
    items: T[],
    { method, parts, query, body, headers }: Ask,
    fresh: Partial<T>,
    texts: (item: T) => string[],
  ): unknown => {
    if (parts.length === 1 && method === 'GET') return list(items, query, texts);
    if (parts.length === 1) {
      const name = String(body.name ?? '');
      if (!name) throw new Refusal(422, 'the name is empty', [{ field: 'name', message: 'may not be empty' }]);
      if (items.some((i) => i.name === name))
        throw new Refusal(422, 'the name is taken', [{ field: 'name', message: `${name} exists already` }]);
      const id = String(Math.max(0, ...items.map((i) => Number(i.id))) + 1);
      const made = { ...fresh, ...body, id, version: '1' } as unknown as T;
      items.push(made);
      return made;
    }
    const item = find(items, parts[1] ?? '');
    if (method === 'GET') return item;
    if (method === 'DELETE') {
      items.splice(items.indexOf(item), 1);
      return undefined;
    }
    if (headers['if-match'] !== `"${item.version}"`) throw new Refusal(412, 'someone changed it in the meantime');
    const { password, ...rest } = body;
    Object.assign(item, rest, password ? { has_password: true } : {}, { version: String(Number(item.version) + 1) });
    return item;
  };

  const pay = (account: Account, body: Record<string, unknown>, key: string | undefined): unknown => {
    if (key && paid.has(key)) return paid.get(key);
    const amount = decimal(String(body.amount));
    const signed = body.kind === 'refund' ? negate(amount) : amount;
    const before = account.balance;
    account.balance = toText(add(decimal(before), signed));
    if (account.available != null) account.available = account.balance;
    if (account.state === 'no_money' && !account.balance.startsWith('-')) account.state = 'normal';
    const ledger = ledgerOf(account);
    const entry: LedgerEntry = {
      seq: String(ledger.length + 1),
      at: data.iso(Date.now()),
      kind: body.kind as LedgerEntry['kind'],
      amount: toText(signed),
      balance_before: before,
      balance_after: account.balance,
      call_id: null,
      by: USER,
      note: String(body.note ?? ''),
      key: key ?? null,
    };
    ledger.unshift(entry);
    const result = { entry, balance: account.balance };
    if (key) paid.set(key, result);
    return result;
  };

  const ledgerOf = (account: Account): LedgerEntry[] => {
    const ledger = ledgers.get(account.id) ?? [];
    ledgers.set(account.id, ledger);
    return ledger;
  };

  const accountRequests = (ask: Ask): unknown => {
    const { method, parts, query, body } = ask;
    if (parts[2] === 'ledger')
      return list(ledgerOf(find(data.accounts, parts[1] ?? '')), query, (e) => [e.note, e.kind, '']);
    if (parts[2] === 'payments')
      return pay(find(data.accounts, parts[1] ?? ''), body, ask.headers['idempotency-key'] as string | undefined);
    const fresh = { balance: '0', reserved: '0', available: '0', calls: 0, state: 'normal' as const };
    const { opening_balance: opening, ...own } = body;
    const result = collection<Account>(data.accounts, { ...ask, body: own }, fresh, (a) => [a.name]);
    if (method === 'POST' && opening) pay(result as Account, { amount: opening, kind: 'opening' }, undefined);
    return result;
  };

  const rateRequests = (ask: Ask): unknown => {
    const { method, parts, query, body } = ask;
    for (const g of data.rateGroups) g.rates_count = data.rates.get(g.name)?.length ?? 0;
    if (parts[2] === 'imports') {
      const made = network.rateImport;
      if (parts[4]) made.state = parts[4] === 'apply' ? 'applied' : 'undone';
      return !parts[3] && method === 'GET' ? { items: [made] } : made;
    }
    if (parts[2] !== 'rates') return collection(data.rateGroups, ask, { rates_count: 0 }, (g) => [g.name]);
    const group = find(data.rateGroups, parts[1] ?? '');
    const rates = data.rates.get(group.name) ?? [];
    data.rates.set(group.name, rates);
    if (method === 'GET')
      return list(
        rates.filter((r) => r.prefix.startsWith(query.get('prefix') ?? '')),
        query,
        (r) => [r.area, ''],
      );
    const at = rates.findIndex((r) => r.prefix === decodeURIComponent(parts[3] ?? ''));
    if (method === 'DELETE') return void rates.splice(at, 1);
    if (at >= 0) rates[at] = body as unknown as Rate;
    else rates.unshift(body as unknown as Rate);
    return body;
  };

  const cdrRequests = ({ parts, query }: Ask): unknown => {
    if (parts[1]) {
      const found = traffic.cdrs.find((c) => c.id === parts[1]);
      if (!found) throw new Refusal(404, 'no such call');
      if (parts[2] === 'analysis') return network.analysisOf(found);
      return found;
    }
    const [from, to] = [query.get('from') ?? '', query.get('to') ?? '9'];
    const answered = query.get('answered');
    const rows = traffic.cdrs.filter(
      (c) => c.start >= from && c.start < to && (answered === null || String(c.answer != null) === answered),
    );
    return list(rows.reverse(), query, (c) => [c.caller, c.callee]);
  };

  const callRequests = ({ parts, body, query }: Ask): unknown => {
    const call = traffic.calls.get(parts[1] ?? '');
    if (!parts[1]) return list([...traffic.calls.values()], query, (c) => [c.caller, c.callee]);
    if (!call) throw new Refusal(404, 'no such call');
    if (parts[2] === 'disconnect') return void traffic.end(call.id, String(body.reason));
    return call;
  };

  const simulate = ({ body }: Ask): unknown => {
    const gateway = find(data.mappingGateways, String(body.gateway));
    const called = String(body.called);
    const route = routeFor(gateway.name, gateway.account, String(body.caller), called);
    const rate = rateFor('retail', called);
    const plan = route.candidates.filter((c) => c.verdict === 'kept').map((c) => c.gateway);
    const outcome = !rate ? 'no_matching_rate' : plan.length > 0 ? 'routed' : 'no_available_router';
    return { ...route, outcome, plan, rate };
  };

  const parameterRequests = ({ method, parts, body }: Ask): unknown => {
    if (method === 'GET') return data.parameters;
    const found = data.parameters.find((p) => p.name === parts[1]);
    if (!found) throw new Refusal(404, 'no such parameter');
    const value = String(body.value);
    if (found.type === 'whole' && !/^\d+$/.test(value))
      throw new Refusal(422, 'not allowed', [{ field: 'value', message: `expected ${found.range}` }]);
    Object.assign(found, { value, changed: value !== found.default });
    return found;
  };

  const started = Date.now();
  const status = () => ({
    version: '0.1.0-fake',
    started_at: data.iso(started),
    now: data.iso(Date.now()),
    listeners: [
      { transport: 'udp', address: '0.0.0.0:5060', advertised: '203.0.113.1:5060' },
      { transport: 'tcp', address: '0.0.0.0:5060', advertised: null },
    ],
    media: { ports_from: 10000, ports_to: 60000, ports_used: traffic.calls.size * 4 },
    journal: { last_seq: '48211', applied_seq: '48209', state: 'writing' },
    demo: true,
  });

  const reportRequests = ({ parts, query }: Ask) => {
    const measures = ['calls', 'asr', 'revenue', 'profit'].map((name) => ({
      name,
      unit: name === 'calls' ? 'count' : name === 'asr' ? 'percent' : 'money',
      help: name,
    }));
    const made = (name: string, group: string[], chart: string) => ({ name, title: name, group, measures, chart });
    const all = [
      made('profit_by_customer', ['account', 'currency'], 'profit'),
      made('quality_by_hour', ['hour', 'currency'], 'asr'),
      made('account_clearing_balance', ['account', 'currency'], 'revenue'),
    ];
    if (!parts[1])
      return all.map((r) => ({ ...r, dimensions: ['hour', 'day', 'account', 'currency'], filters: ['account'] }));
    const report = all.find((r) => r.name === parts[1]) ?? all[0];
    const rows = data.accounts.slice(0, 8).map((account, i) => ({
      cells: [
        account.name,
        'USD',
        String(1200 - i * 100),
        '48.25',
        `${90 - i * 9}.5`,
        i === 3 ? '-4.25' : `${20 - i}.75`,
      ],
      cdrs: `account=${account.name}`,
    }));
    const totals = [{ cells: [null, 'USD', '6800', '48.25', '472.00', '102.25'], cdrs: null }];
    const time_zone = query.get('tz') ?? 'UTC';
    return { ...report, from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z', time_zone, rows, totals };
  };

  const routes: Record<string, (ask: Ask) => unknown> = {
    status,
    overview: () => traffic.overview(),
    accounts: accountRequests,
    'rate-groups': rateRequests,
    'mapping-gateways': (ask) =>
      collection(data.mappingGateways, ask, { calls: 0, cps: 0, asr: null, acd_s: null }, (g) => [
        g.name,
        ...(g.addresses ?? []),
      ]),
    'routing-gateways': (ask) =>
      collection(data.routingGateways, ask, { calls: 0, cps: 0, asr: null, acd_s: null }, (g) => [g.name, g.address]),
    phones: (ask) => {
      const body = ask.parts.length === 1 ? { ...ask.body, name: ask.body.number } : ask.body;
      const fresh = { calls: 0, online: false, registration: null };
      return collection(network.phones, { ...ask, body }, fresh, (p) => [p.number]);
    },
    registrations: ({ method, parts, query }) => {
      if (method === 'GET') return list(network.registrations, query, (r) => [r.name]);
      const found = network.registrations.findIndex((r) => r.id === decodeURIComponent(parts[1] ?? ''));
      if (found < 0) throw new Refusal(404, 'nobody is registered so');
      return void network.registrations.splice(found, 1);
    },
    changes: ({ method, parts, query }) => {
      if (parts[1] === 'compare') return { from: query.get('from'), to: '2', items: network.changes[0]?.items };
      if (method === 'GET') return list(network.changes, query, (c) => [c.author]);
      const undone = network.changes.find((c) => c.version === parts[1]);
      if (!undone) throw new Refusal(404, 'no such version');
      const version = String(network.changes.length + 1);
      network.changes.unshift({ ...undone, version, undoes: undone.version });
      return { applied: true, version };
    },
    calendars: (ask) => collection(network.calendars, ask, {}, (c) => [c.name]),
    'gateway-groups': (ask) => collection(network.gatewayGroups, ask, { calls: 0, cps: 0 }, (g) => [g.name]),
    'number-lists': (ask) => {
      const { method, parts, query, text } = ask;
      if (parts[2] !== 'numbers') return collection(network.numberLists, ask, { numbers_count: 0 }, (n) => [n.name]);
      const begin = query.get('begin') ?? '';
      if (method === 'POST') network.numbers.push(...text.split('\n'));
      if (method === 'DELETE') network.numbers.splice(network.numbers.indexOf(decodeURIComponent(parts[3] ?? '')), 1);
      return { items: network.numbers.filter((n) => n.startsWith(begin)), next: null };
    },
    calls: callRequests,
    cdrs: cdrRequests,
    route: simulate,
    reports: reportRequests,
    parameters: parameterRequests,
    users: ({ method, parts, body }) => {
      if (method === 'GET') return people.users;
      if (method === 'DELETE')
        return void people.users.splice(0, people.users.length, ...people.users.filter((u) => u.name !== parts[1]));
      const found = people.users.find((u) => u.name === parts[1]);
      const fresh = {
        name: '',
        role: '',
        disabled: false,
        account: null,
        note: '',
        second_factor: false,
        created_at: data.iso(Date.now()),
      };
      const made = Object.assign(found ?? fresh, { ...body, password: undefined, reset_second_factor: undefined });
      if (!found) people.users.push(made);
      return made;
    },
    roles: ({ method, parts, body }) => {
      if (method === 'GET') return { items: people.roles, rights: RIGHTS };
      const role = {
        name: parts[1] ?? '',
        rights: body.rights as string[],
        note: String(body.note ?? ''),
        built_in: false,
      };
      people.roles.push(role);
      return role;
    },
    keys: ({ method, body }) => {
      if (method === 'GET') return people.keys;
      const key = {
        id: 'ab12',
        name: String(body.name),
        user: USER,
        rights: null,
        networks: [],
        created_at: data.iso(Date.now()),
        expires_at: null,
      };
      people.keys.push(key);
      return { ...key, token: '0123456789abcdef' };
    },
    access: ({ method, body }) => {
      if (method === 'PUT') people.networks = body.networks as string[];
      return { networks: people.networks, your_address: '127.0.0.1' };
    },
    audit: ({ query }) => list(people.audit, query, (e) => [e.object]),
    check: () => ({
      ok: true,
      findings: [
        { check: 'balances', ok: true, detail: '8 accounts equal their entries' },
        { check: 'records', ok: true, detail: 'each answered call has one record' },
      ],
    }),
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    if (!url.pathname.startsWith('/api/v1/')) return serveFile(url.pathname, response);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const method = request.method ?? 'GET';
    const parts = url.pathname.slice('/api/v1/'.length).split('/');
    try {
      const isJson = request.headers['content-type']?.startsWith('application/json');
      const body = text && isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
      if (parts[0] === 'session') return session(method, body, signedIn(request), response);
      if (!signedIn(request)) throw new Refusal(401, 'not signed in');
      if (method !== 'GET' && request.headers['x-tandem'] !== '1')
        throw new Refusal(403, 'the X-Tandem header is missing');
      const route = routes[parts[0] ?? ''];
      if (!route) throw new Refusal(404, 'no such resource');
      const result = route({ method, parts, query: url.searchParams, body, text, headers: request.headers });
      send(response, result === undefined ? 204 : method === 'POST' && parts.length === 1 ? 201 : 200, result);
    } catch (error) {
      const { status: code, message, errors } = error instanceof Refusal ? error : new Refusal(500, String(error));
      send(response, code, {
        type: 'about:blank',
        title: message,
        status: code,
        detail: message,
        request_id: 'f4ke-0001',
        errors,
      });
    }
  };

  const server = createServer((request, response) => void answer(request, response));
  const live = serveLive(server, traffic, signedIn);
  const timer = setInterval(() => {
    traffic.second();
    live.second();
  }, 1_000);
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      clearInterval(timer);
      live.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function session(method: string, body: Record<string, unknown>, signedIn: boolean, response: ServerResponse) {
  const user = { name: USER, role: 'administrator', rights: RIGHTS, account: null };
  const refuse = () =>
    send(response, 401, {
      type: 'about:blank',
      title: 'Not signed in',
      status: 401,
      detail: 'not signed in',
      request_id: 'f4ke-0002',
      errors: [],
    });
  if (method === 'GET') return signedIn ? send(response, 200, { user }) : refuse();
  if (method === 'DELETE') {
    response.setHeader('set-cookie', 'tandem_session=; Path=/; Max-Age=0');
    return send(response, 204, undefined);
  }
  if (body.username !== USER || body.password !== PASSWORD) return refuse();
  response.setHeader('set-cookie', 'tandem_session=fake; Path=/; HttpOnly; SameSite=Strict');
  send(response, 200, { user, token: 'fake' });
}

function send(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json' });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

function serveFile(path: string, response: ServerResponse) {
  const asked = join(DIST, path);
  const file = extname(path) && existsSync(asked) ? asked : join(DIST, 'index.html');
  // The same policy as the switch, so that what it forbids fails here as well.
  response.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-security-policy':
      "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
  });
  response.end(readFileSync(file));
}
