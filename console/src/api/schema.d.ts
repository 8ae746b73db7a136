/** The REST contract in the shape that openapi-typescript writes; `npm run gen` replaces this file. */
type Json<T> = { content: { 'application/json': T } };
type Answer<T> = { headers: { [name: string]: unknown }; content: { 'application/json': T } };
type NoBody = { headers: { [name: string]: unknown }; content?: never };
type Refused = { default: { headers: { [name: string]: unknown }; content: { 'application/problem+json': Schemas['Problem'] } } };
type None = never;
type InPath<P> = [P] extends [never] ? { path?: never } : { path: P };
type InHeader<H> = [H] extends [never] ? { header?: never } : { header: H };
type Parameters_<P, H> = { query?: never; cookie?: never } & InPath<P> & InHeader<H>;
type Read<T, Q = None, P = None> = {
  parameters: { query?: Q; header?: never; cookie?: never } & InPath<P>;
  requestBody?: never;
  responses: { 200: Answer<T> } & Refused;
};
type Write<B, T, P = None, H = None> = {
  parameters: Parameters_<P, H>;
  requestBody: Json<B>;
  responses: { 200: Answer<T> } & Refused;
};
type Remove<P = None> = { parameters: Parameters_<P, never>; requestBody?: never; responses: { 204: NoBody } & Refused };
type Id = { id: string };
type IfMatch = { 'If-Match': string };
type ListQuery = { limit?: number; cursor?: string; sort?: string; q?: string };
type Page<T> = { items: T[]; next_cursor?: string | null; total?: number | null };
type Collection<View, Input, Q = ListQuery> = { get: Read<Page<View>, Q>; post: Write<Input, View> };
type Document_<View, Input> = { get: Read<View, never, Id>; put: Write<Input, View, Id, IfMatch>; delete: Remove<Id> };

interface Schemas {
  Problem: {
    type?: string;
    title: string;
    status: number;
    detail?: string | null;
    request_id?: string | null;
    errors?: { field?: string | null; file?: string | null; line?: number | null; message: string }[];
  };
  User: { name: string; role: string };
  Status: {
    version: string;
    started_at: string;
    now: string;
    listeners: { transport: string; address: string; advertised?: string | null }[];
    media: { ports_from: number; ports_to: number; ports_used: number };
    journal: { last_seq: string | number; applied_seq: string | number; state: string };
    demo: boolean;
  };
  Totals: {
    t: string;
    calls: number;
    cps: number;
    attempts: number;
    answered: number;
    asr?: string | null;
    acd_s?: number | null;
    revenue: string;
    cost: string;
    profit: string;
    alarms: number;
  };
  SeriesPoint: {
    t: string;
    calls: number;
    cps: number;
    attempts: number;
    answered: number;
    revenue: string;
    cost: string;
    profit: string;
  };
  TopCustomer: { account: string; calls: number; minutes_s: number; revenue: string };
  GatewayFigures: { gateway: string; attempts: number; answered: number; asr?: string | null; acd_s?: number | null };
  Overview: {
    totals: Schemas['Totals'];
    series: Schemas['SeriesPoint'][];
    top_customers: Schemas['TopCustomer'][];
    gateways: Schemas['GatewayFigures'][];
    currency: string;
  };
  AccountInput: {
    name: string;
    kind: string;
    payment: string;
    currency: string;
    credit_limit?: string | null;
    rate_group?: string | null;
    status: string;
    valid_until?: string | null;
    anti_overdraft: boolean;
    max_concurrency?: number | null;
    max_cps?: number | null;
    notes: string;
    opening_balance?: string | null;
  };
  Account: Omit<Schemas['AccountInput'], 'opening_balance'> & {
    id: string;
    version: string;
    balance: string;
    reserved: string;
    available?: string | null;
    calls: number;
    state: string;
  };
  LedgerEntry: {
    seq: string;
    at: string;
    kind: string;
    amount: string;
    balance_after: string;
    call_id?: string | null;
    by?: string | null;
    note?: string | null;
    key?: string | null;
  };
  PaymentInput: { amount: string; kind: string; note: string };
  PaymentResult: { entry: Schemas['LedgerEntry']; balance: string };
  RateGroupInput: { name: string; currency: string; notes: string };
  RateGroup: Schemas['RateGroupInput'] & { id: string; rates_count: number; version: string };
  Rate: {
    prefix: string;
    area: string;
    price_per_minute: string;
    first_period: number;
    cycle: number;
    first_period_price?: string | null;
    connection_fee: string;
    minimum_charge: string;
    free_seconds: number;
    locked: boolean;
  };
  MappingGatewayInput: {
    name: string;
    account: string;
    enabled: boolean;
    authentication: string;
    addresses: string[];
    username?: string | null;
    password?: string | null;
    called_prefixes: string[];
    caller_source: string;
    called_source: string;
    reply_address: string;
    request_address: string;
    max_cps?: number | null;
    max_concurrency?: number | null;
    parameters: { [name: string]: string };
    notes: string;
  };
  GatewayLive: {
    id: string;
    version: string;
    has_password?: boolean;
    calls: number;
    cps: number;
    asr?: string | null;
    acd_s?: number | null;
  };
  MappingGateway: Omit<Schemas['MappingGatewayInput'], 'password'> & Schemas['GatewayLive'];
  RoutingGatewayInput: {
    name: string;
    account: string;
    enabled: boolean;
    address: string;
    transport: string;
    username?: string | null;
    password?: string | null;
    prefixes: string[];
    priority: number;
    max_cps?: number | null;
    max_concurrency?: number | null;
    failover_codes?: number[] | null;
    follow_redirects: boolean;
    lowest_profit_per_minute?: string | null;
    max_price_per_minute?: string | null;
    check_rate: boolean;
    request_address: string;
    parameters: { [name: string]: string };
    notes: string;
  };
  RoutingGateway: Omit<Schemas['RoutingGatewayInput'], 'password'> & Schemas['GatewayLive'];
  CallLeg: {
    call_id: string;
    remote?: string | null;
    codec?: string | null;
    packets_in: number;
    packets_out: number;
    loss_percent?: number | null;
    jitter_ms?: number | null;
    media_remote?: string | null;
  };
  Call: {
    id: string;
    state: string;
    start: string;
    answer?: string | null;
    duration_s: number;
    caller: string;
    callee: string;
    account?: string | null;
    mapping_gateway?: string | null;
    routing_gateway?: string | null;
    vendor?: string | null;
    attempt: number;
    codec?: string | null;
    pdd_ms?: number | null;
    a: Schemas['CallLeg'];
    b: Schemas['CallLeg'];
    rate?: string | null;
    cost_rate?: string | null;
    charged_so_far?: string | null;
    reserved?: string | null;
    media: string;
  };
  CdrRate: {
    prefix: string;
    area: string;
    price_per_minute: string;
    first_period: number;
    cycle: number;
    first_period_price?: string | null;
    connection_fee?: string | null;
    minimum_charge?: string | null;
    free_seconds?: number | null;
    rate_group?: string | null;
  };
  MediaFigures: {
    packets_in: number;
    packets_out: number;
    bytes_in: number;
    bytes_out: number;
    lost: number;
    jitter_ms: number;
    remote?: string | null;
  };
  Cdr: {
    id: string;
    start: string;
    ringing?: string | null;
    answer?: string | null;
    end: string;
    pdd_ms?: number | null;
    duration_ms: number;
    billed_s: number;
    caller: string;
    callee: string;
    callee_sent?: string | null;
    account?: string | null;
    vendor?: string | null;
    mapping_gateway?: string | null;
    routing_gateway?: string | null;
    end_reason: string;
    ended_by: string;
    sip_code: number;
    q850: number;
    rate?: Schemas['CdrRate'] | null;
    cost_rate?: Schemas['CdrRate'] | null;
    fee?: string | null;
    cost?: string | null;
    profit?: string | null;
    currency?: string | null;
    codec_a?: string | null;
    codec_b?: string | null;
    media_a?: Schemas['MediaFigures'] | null;
    media_b?: Schemas['MediaFigures'] | null;
    call_id_a?: string | null;
    call_id_b?: string | null;
    remote_a?: string | null;
    remote_b?: string | null;
  };
  Attempt: {
    gateway: string;
    account?: string | null;
    called: string;
    caller: string;
    start: string;
    ringing?: string | null;
    end: string;
    result: string;
    sip_code: number;
    q850: number;
    text?: string | null;
    call_id?: string | null;
    remote?: string | null;
  };
  RouteStep: { step: string; outcome: string; detail: string };
  Candidate: {
    gateway: string;
    verdict: string;
    reason?: string | null;
    priority: number;
    prefix: string;
    cost_per_minute?: string | null;
    margin_per_minute?: string | null;
  };
  RouteExplanation: { steps: Schemas['RouteStep'][]; candidates: Schemas['Candidate'][] };
  CdrDetail: Schemas['Cdr'] & { attempts: Schemas['Attempt'][]; route: Schemas['RouteExplanation'] };
  SimulateInput: { gateway: string; caller: string; called: string; at?: string | null };
  Simulation: Schemas['RouteExplanation'] & { outcome: string; rate?: Schemas['CdrRate'] | null; plan: string[] };
  Parameter: {
    name: string;
    aliases: string[];
    group: string;
    type: string;
    value: string;
    default: string;
    unit?: string | null;
    range: string;
    gateway: boolean;
    start: boolean;
    help: string;
    changed: boolean;
  };
  EndReason: { key: string; by?: string; sip?: number; q850?: number; words: string };
  CheckResult: { ok: boolean; findings: { check: string; ok: boolean; detail: string }[] };
}

export interface components {
  schemas: Schemas;
}

type CdrQuery = ListQuery & {
  from?: string;
  to?: string;
  account?: string;
  mapping_gateway?: string;
  routing_gateway?: string;
  caller?: string;
  callee?: string;
  number?: string;
  end_reason?: string;
  ended_by?: string;
  answered?: boolean;
  min_duration_s?: number;
};

export interface paths {
  '/api/v1/session': {
    get: Read<{ user: Schemas['User'] }>;
    post: Write<{ username: string; password: string }, { user: Schemas['User']; token: string }>;
    delete: Remove;
  };
  '/api/v1/status': { get: Read<Schemas['Status']> };
  '/api/v1/overview': { get: Read<Schemas['Overview']> };
  '/api/v1/accounts': Collection<Schemas['Account'], Schemas['AccountInput'], ListQuery & { kind?: string; state?: string }>;
  '/api/v1/accounts/{id}': Document_<Schemas['Account'], Schemas['AccountInput']>;
  '/api/v1/accounts/{id}/payments': { post: Write<Schemas['PaymentInput'], Schemas['PaymentResult'], Id, { 'Idempotency-Key': string }> };
  '/api/v1/accounts/{id}/ledger': { get: Read<Page<Schemas['LedgerEntry']>, ListQuery, Id> };
  '/api/v1/rate-groups': Collection<Schemas['RateGroup'], Schemas['RateGroupInput']>;
  '/api/v1/rate-groups/{id}': Document_<Schemas['RateGroup'], Schemas['RateGroupInput']>;
  '/api/v1/rate-groups/{id}/rates': { get: Read<Page<Schemas['Rate']>, ListQuery & { prefix?: string }, Id> };
  '/api/v1/rate-groups/{id}/rates/{prefix}': {
    put: Write<Schemas['Rate'], Schemas['Rate'], { id: string; prefix: string }>;
    delete: Remove<{ id: string; prefix: string }>;
  };
  '/api/v1/mapping-gateways': Collection<Schemas['MappingGateway'], Schemas['MappingGatewayInput']>;
  '/api/v1/mapping-gateways/{id}': Document_<Schemas['MappingGateway'], Schemas['MappingGatewayInput']>;
  '/api/v1/routing-gateways': Collection<Schemas['RoutingGateway'], Schemas['RoutingGatewayInput']>;
  '/api/v1/routing-gateways/{id}': Document_<Schemas['RoutingGateway'], Schemas['RoutingGatewayInput']>;
  '/api/v1/calls': { get: Read<Page<Schemas['Call']>, ListQuery> };
  '/api/v1/calls/{id}': { get: Read<Schemas['Call'], never, Id> };
  '/api/v1/calls/{id}/disconnect': { post: Write<{ reason: string }, unknown, Id> };
  '/api/v1/cdrs': { get: Read<Page<Schemas['Cdr']>, CdrQuery> };
  '/api/v1/cdrs/{id}': { get: Read<Schemas['CdrDetail'], never, Id> };
  '/api/v1/route/simulate': { post: Write<Schemas['SimulateInput'], Schemas['Simulation']> };
  '/api/v1/parameters': { get: Read<Schemas['Parameter'][]> };
  '/api/v1/parameters/{name}': { put: Write<{ value: string }, Schemas['Parameter'], { name: string }> };
  '/api/v1/end-reasons': { get: Read<Schemas['EndReason'][]> };
  '/api/v1/check': { post: { parameters: Parameters_<never, never>; requestBody?: never; responses: { 200: Answer<Schemas['CheckResult']> } & Refused } };
}
