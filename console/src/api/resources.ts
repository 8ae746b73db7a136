/** One object for each resource of the API, so that pages say `accounts.list(…)` and never build a path. */
import { client, unwrap } from './client';
import type { components } from './schema';

type Schemas = components['schemas'];
export type Account = Schemas['Account'];
export type Report = Schemas['Report'];
export type ReportTable = Schemas['ReportTable'];
export type AccountInput = Schemas['AccountInput'];
export type LedgerEntry = Schemas['LedgerEntry'];
export type PaymentInput = Schemas['PaymentInput'];
export type RateGroup = Schemas['RateGroup'];
export type RateGroupInput = Schemas['RateGroupInput'];
export type Rate = Schemas['Rate'];
export type MappingGateway = Schemas['MappingGateway'];
/** Written and never read: absent or `null` keeps the password. */
type WithPassword = { password?: string | null };
export type MappingGatewayInput = Schemas['MappingGatewayInput'] & WithPassword;
export type RoutingGateway = Schemas['RoutingGateway'];
export type RoutingGatewayInput = Schemas['RoutingGatewayInput'] & WithPassword;
export type Call = Schemas['Call'];
export type CallLeg = Schemas['CallLeg'];
export type Cdr = Schemas['Cdr'];
export type CdrDetail = Schemas['CdrDetail'];
export type CdrRate = Schemas['CdrRate'];
export type Attempt = Schemas['Attempt'];
export type RouteExplanation = Schemas['RouteExplanation'];
export type Simulation = Schemas['Simulation'];
export type SimulateInput = Schemas['SimulateInput'];
export type Parameter = Schemas['Parameter'];
export type Overview = Schemas['Overview'];
export type SeriesPoint = Schemas['SeriesPoint'];
export type Totals = Schemas['Totals'];
export type Status = Schemas['Status'];
export type User = Schemas['User'];
export type ConsoleUser = Schemas['ConsoleUser'];
export type Role = Schemas['Role'];
export type ApiKey = Schemas['ApiKey'];
export type AuditEntry = Schemas['AuditEntry'];

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
  total?: number | null;
}

export type Phone = Schemas['Phone'] & { name: string };
export type PhoneInput = Schemas['PhoneInput'] & WithPassword;
export type Registration = Schemas['Registration'];
export type CallAnalysis = Schemas['CallAnalysis'];
export type LadderRow = Schemas['LadderRow'];
export type ConfigChange = Schemas['ConfigChange'];
export type ConfigDifference = Schemas['ConfigDifference'];
export type RateImport = Schemas['RateImport'];
/** How a file of rates is to be read; what is absent is found out. */
export interface ImportOptions {
  replace: boolean;
  free_is_meant: boolean;
  effective?: string;
  increments?: string;
  decimal_mark?: string;
  date_order?: string;
}
export type Calendar = Schemas['Calendar'];
export type CalendarInput = Schemas['CalendarInput'];
export type NumberList = Schemas['NumberList'];
export type NumberListInput = Schemas['NumberListInput'];
export type GatewayGroup = Schemas['GatewayGroup'];
export type GatewayGroupInput = Schemas['GatewayGroupInput'];

/** Filters as they stand in the address bar, and the paging of the API. */
export type Query = Record<string, string | number | undefined>;

const match = (version: string) => ({ 'If-Match': `"${version}"` });
const path = (id: string) => ({ path: { id } });

export const session = {
  get: () => unwrap(client.GET('/api/v1/session')),
  signIn: (username: string, password: string, code?: string) =>
    unwrap(client.POST('/api/v1/session', { body: { username, password, code: code || null } })),
  signOut: () => unwrap(client.DELETE('/api/v1/session')),
  changePassword: (old: string, fresh: string) =>
    unwrap(client.PUT('/api/v1/session/password', { body: { old, new: fresh } })),
  proposeSecondFactor: () => unwrap(client.POST('/api/v1/session/second-factor')),
  setSecondFactor: (secret: string, code: string) =>
    unwrap(client.PUT('/api/v1/session/second-factor', { body: { secret, code } })),
  dropSecondFactor: () => unwrap(client.DELETE('/api/v1/session/second-factor')),
};

export const users = {
  list: () => unwrap(client.GET('/api/v1/users')),
  create: (body: Schemas['NewUserInput']) => unwrap(client.POST('/api/v1/users', { body })),
  update: (user: string, body: Schemas['UserInput']) =>
    unwrap(client.PUT('/api/v1/users/{user}', { params: { path: { user } }, body })),
  remove: (user: string) => unwrap(client.DELETE('/api/v1/users/{user}', { params: { path: { user } } })),
};

export const roles = {
  list: () => unwrap(client.GET('/api/v1/roles')),
  save: (role: string, body: Schemas['RoleInput']) =>
    unwrap(client.PUT('/api/v1/roles/{role}', { params: { path: { role } }, body })),
  remove: (role: string) => unwrap(client.DELETE('/api/v1/roles/{role}', { params: { path: { role } } })),
};

export const keys = {
  list: () => unwrap(client.GET('/api/v1/keys')),
  create: (body: Schemas['ApiKeyInput']) => unwrap(client.POST('/api/v1/keys', { body })),
  remove: (key: string) => unwrap(client.DELETE('/api/v1/keys/{key}', { params: { path: { key } } })),
};

export const access = {
  get: () => unwrap(client.GET('/api/v1/access')),
  save: (networks: string[], confirm: boolean) => unwrap(client.PUT('/api/v1/access', { body: { networks, confirm } })),
};

export const audit = {
  list: (query: Query): Promise<Page<AuditEntry>> => unwrap(client.GET('/api/v1/audit', { params: { query } })),
};

export const accounts = {
  list: (query: Query): Promise<Page<Account>> => unwrap(client.GET('/api/v1/accounts', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/accounts/{id}', { params: path(id) })),
  create: (body: AccountInput) => unwrap(client.POST('/api/v1/accounts', { body })),
  update: (id: string, body: AccountInput, version: string) =>
    unwrap(client.PUT('/api/v1/accounts/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/accounts/{id}', { params: path(id) })),
  ledger: (id: string, query: Query): Promise<Page<LedgerEntry>> =>
    unwrap(client.GET('/api/v1/accounts/{id}/ledger', { params: { ...path(id), query } })),
  /** `key` makes the payment happen once, however often it is sent. */
  pay: (id: string, body: PaymentInput, key: string) =>
    unwrap(
      client.POST('/api/v1/accounts/{id}/payments', {
        params: { ...path(id), header: { 'Idempotency-Key': key } },
        body,
      }),
    ),
};

export const rateGroups = {
  list: (query: Query): Promise<Page<RateGroup>> => unwrap(client.GET('/api/v1/rate-groups', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/rate-groups/{id}', { params: path(id) })),
  create: (body: RateGroupInput) => unwrap(client.POST('/api/v1/rate-groups', { body })),
  update: (id: string, body: RateGroupInput, version: string) =>
    unwrap(client.PUT('/api/v1/rate-groups/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/rate-groups/{id}', { params: path(id) })),
  rates: (id: string, query: Query): Promise<Page<Rate>> =>
    unwrap(client.GET('/api/v1/rate-groups/{id}/rates', { params: { ...path(id), query } })),
  imports: (id: string) => unwrap(client.GET('/api/v1/rate-groups/{id}/imports', { params: path(id) })),
  startImport: (id: string, file: File, options: ImportOptions) =>
    unwrap(
      client.POST('/api/v1/rate-groups/{id}/imports', {
        params: { ...path(id), query: { ...options, name: file.name } },
        body: file as unknown as never,
        bodySerializer: (body: unknown) => body as Blob,
        headers: { 'Content-Type': 'application/octet-stream' },
      }),
    ),
  importOf: (id: string, made: string) =>
    unwrap(client.GET('/api/v1/rate-groups/{id}/imports/{import}', { params: { path: { id, import: Number(made) } } })),
  applyImport: (id: string, made: string, withoutBad: boolean) =>
    unwrap(
      client.POST('/api/v1/rate-groups/{id}/imports/{import}/apply', {
        params: { path: { id, import: Number(made) } },
        body: { skip_bad_rows: withoutBad },
      }),
    ),
  undoImport: (id: string, made: string) =>
    unwrap(
      client.POST('/api/v1/rate-groups/{id}/imports/{import}/undo', { params: { path: { id, import: Number(made) } } }),
    ),
  saveRate: (id: string, body: Rate) =>
    unwrap(
      client.PUT('/api/v1/rate-groups/{id}/rates/{prefix}', { params: { path: { id, prefix: body.prefix } }, body }),
    ),
  removeRate: (id: string, { prefix, valid_from, hours }: Rate) => {
    const query = { ...(valid_from && { valid_from }), ...(hours && { hours }) };
    return unwrap(
      client.DELETE('/api/v1/rate-groups/{id}/rates/{prefix}', { params: { path: { id, prefix }, query } }),
    );
  },
};

export const mappingGateways = {
  list: (query: Query): Promise<Page<MappingGateway>> =>
    unwrap(client.GET('/api/v1/mapping-gateways', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/mapping-gateways/{id}', { params: path(id) })),
  create: (body: MappingGatewayInput) => unwrap(client.POST('/api/v1/mapping-gateways', { body })),
  update: (id: string, body: MappingGatewayInput, version: string) =>
    unwrap(client.PUT('/api/v1/mapping-gateways/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/mapping-gateways/{id}', { params: path(id) })),
};

export const routingGateways = {
  list: (query: Query): Promise<Page<RoutingGateway>> =>
    unwrap(client.GET('/api/v1/routing-gateways', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/routing-gateways/{id}', { params: path(id) })),
  create: (body: RoutingGatewayInput) => unwrap(client.POST('/api/v1/routing-gateways', { body })),
  update: (id: string, body: RoutingGatewayInput, version: string) =>
    unwrap(client.PUT('/api/v1/routing-gateways/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/routing-gateways/{id}', { params: path(id) })),
};

/** A phone is called by its number. */
const namedPhone = (phone: Schemas['Phone']): Phone => ({ ...phone, name: phone.number });

export const phones = {
  list: async (query: Query): Promise<Page<Phone>> => {
    const page = await unwrap(client.GET('/api/v1/phones', { params: { query } }));
    return { ...page, items: page.items.map(namedPhone) };
  },
  get: async (id: string) => namedPhone(await unwrap(client.GET('/api/v1/phones/{id}', { params: path(id) }))),
  create: async (body: PhoneInput) => namedPhone(await unwrap(client.POST('/api/v1/phones', { body }))),
  update: (id: string, body: PhoneInput, version: string) =>
    unwrap(client.PUT('/api/v1/phones/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/phones/{id}', { params: path(id) })),
};

export const registrations = {
  list: (query: Query): Promise<Page<Registration>> =>
    unwrap(client.GET('/api/v1/registrations', { params: { query } })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/registrations/{id}', { params: path(id) })),
};

export const calendars = {
  list: (query: Query): Promise<Page<Calendar>> => unwrap(client.GET('/api/v1/calendars', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/calendars/{id}', { params: path(id) })),
  create: (body: CalendarInput) => unwrap(client.POST('/api/v1/calendars', { body })),
  update: (id: string, body: CalendarInput, version: string) =>
    unwrap(client.PUT('/api/v1/calendars/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/calendars/{id}', { params: path(id) })),
};

export const gatewayGroups = {
  list: (query: Query): Promise<Page<GatewayGroup>> =>
    unwrap(client.GET('/api/v1/gateway-groups', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/gateway-groups/{id}', { params: path(id) })),
  create: (body: GatewayGroupInput) => unwrap(client.POST('/api/v1/gateway-groups', { body })),
  update: (id: string, body: GatewayGroupInput, version: string) =>
    unwrap(client.PUT('/api/v1/gateway-groups/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/gateway-groups/{id}', { params: path(id) })),
};

export const numberLists = {
  list: (query: Query): Promise<Page<NumberList>> => unwrap(client.GET('/api/v1/number-lists', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/number-lists/{id}', { params: path(id) })),
  create: (body: NumberListInput) => unwrap(client.POST('/api/v1/number-lists', { body })),
  update: (id: string, body: NumberListInput, version: string) =>
    unwrap(client.PUT('/api/v1/number-lists/{id}', { params: { ...path(id), header: match(version) }, body })),
  remove: (id: string) => unwrap(client.DELETE('/api/v1/number-lists/{id}', { params: path(id) })),
  numbers: (id: string, begin: string) =>
    unwrap(client.GET('/api/v1/number-lists/{id}/numbers', { params: { ...path(id), query: { begin, limit: 100 } } })),
  addNumbers: (id: string, lines: string) =>
    unwrap(
      client.POST('/api/v1/number-lists/{id}/numbers', {
        params: path(id),
        body: lines,
        bodySerializer: (body: string) => body,
        headers: { 'Content-Type': 'text/plain' },
      }),
    ),
  removeNumber: (id: string, number: string) =>
    unwrap(client.DELETE('/api/v1/number-lists/{id}/numbers/{number}', { params: { path: { id, number } } })),
};

export const changes = {
  list: (query: Query): Promise<Page<ConfigChange>> => unwrap(client.GET('/api/v1/changes', { params: { query } })),
  compare: (from: string, to: string | undefined) =>
    unwrap(
      client.GET('/api/v1/changes/compare', {
        params: { query: { from: Number(from), to: to === undefined ? undefined : Number(to) } },
      }),
    ),
  undo: (version: string) =>
    unwrap(
      client.POST('/api/v1/changes/{version}/undo', {
        params: { path: { version: Number(version) } },
        body: { dry_run: false },
      }),
    ),
};

export const calls = {
  get: (id: string) => unwrap(client.GET('/api/v1/calls/{id}', { params: path(id) })),
  disconnect: (id: string, reason: string) =>
    unwrap(client.POST('/api/v1/calls/{id}/disconnect', { params: path(id), body: { reason } })),
};

export const cdrs = {
  list: (query: Query): Promise<Page<Cdr>> => unwrap(client.GET('/api/v1/cdrs', { params: { query } })),
  get: (id: string) => unwrap(client.GET('/api/v1/cdrs/{id}', { params: path(id) })),
  analysis: (id: string) => unwrap(client.GET('/api/v1/cdrs/{id}/analysis', { params: path(id) })),
  /** What was captured of the call, as a file. */
  file: (id: string, kind: 'pcap' | 'text' | 'evidence') => `/api/v1/calls/${encodeURIComponent(id)}/${kind}`,
};

export const reports = {
  list: () => unwrap(client.GET('/api/v1/reports')),
  make: (name: string, query: Record<string, string>): Promise<ReportTable> =>
    unwrap(client.GET('/api/v1/reports/{name}', { params: { path: { name }, query } })),
};

export const parameters = {
  list: () => unwrap(client.GET('/api/v1/parameters')),
  save: (name: string, value: string) =>
    unwrap(client.PUT('/api/v1/parameters/{name}', { params: { path: { name } }, body: { value } })),
};

export const system = {
  status: () => unwrap(client.GET('/api/v1/status')),
  overview: () => unwrap(client.GET('/api/v1/overview')),
  check: () => unwrap(client.POST('/api/v1/check')),
  simulate: (body: SimulateInput) => unwrap(client.POST('/api/v1/route/simulate', { body })),
};
