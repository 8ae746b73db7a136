/** Calls that begin, ring, talk and end, and what is counted of them. */
import type { Call, CdrDetail, Overview, SeriesPoint, Totals } from '../src/api/resources';
import { add, decimal, share, subtract, toText, trim } from '../src/lib/decimal';
import { makeCall, makeCdr } from './fake-calls';
import { accounts, chance, iso, mappingGateways, routingGateways } from './fake-data';

const STEP_MS = 5_000;
const STEPS = 180;
const ZERO = decimal('0');

export class Traffic {
  readonly calls = new Map<string, Call>();
  readonly cdrs: CdrDetail[] = [];
  private readonly aim: number;
  private arrived = 0;

  constructor(aim: number) {
    this.aim = aim;
    const now = Date.now();
    for (let i = 0; i < 900; i++) this.cdrs.push(makeCdr(now - (900 - i) * 1_000 - 5_000));
    for (let i = 0; i < aim; i++) this.begin(now - Math.floor(chance() * 300_000));
    this.second();
  }

  private begin(at: number) {
    const call = makeCall(at);
    this.calls.set(call.id, call);
  }

  /** One second of life. */
  second() {
    const now = Date.now();
    for (const call of [...this.calls.values()]) this.move(call, now);
    this.arrived = 0;
    while (this.calls.size < this.aim && this.arrived < 12) {
      this.begin(now);
      this.arrived += 1;
    }
    for (const list of [accounts, mappingGateways, routingGateways]) for (const item of list) item.calls = 0;
    for (const call of this.calls.values()) {
      for (const item of [
        accounts.find((a) => a.name === call.account),
        mappingGateways.find((g) => g.name === call.mapping_gateway),
        routingGateways.find((g) => g.name === call.routing_gateway),
      ]) {
        if (item) item.calls += 1;
      }
    }
  }

  private move(call: Call, now: number) {
    const age = (now - Date.parse(call.start)) / 1000;
    if (call.state === 'setup' && age > 2)
      Object.assign(call, { state: 'ringing', pdd_ms: 1400 + Math.floor(chance() * 3000) });
    if (call.state === 'ringing' && age > 9)
      Object.assign(call, { state: 'talking', answer: iso(Date.parse(call.start) + 9_000) });
    if (call.state !== 'talking') return;
    call.duration_s = Math.floor(age - 9);
    call.charged_so_far = toText(trim(share(decimal(call.rate ?? '0'), call.duration_s, 60), 4));
    for (const leg of [call.a, call.b])
      Object.assign(leg, { packets_in: call.duration_s * 50, packets_out: call.duration_s * 50 });
    if (chance() < 0.008) this.end(call.id, null);
  }

  end(id: string, reason: string | null): boolean {
    const call = this.calls.get(id);
    if (!call) return false;
    this.calls.delete(id);
    const cdr = makeCdr(Date.parse(call.start));
    Object.assign(cdr, {
      id,
      caller: call.caller,
      callee: call.callee,
      account: call.account,
      mapping_gateway: call.mapping_gateway,
      routing_gateway: call.routing_gateway,
    });
    if (reason !== null)
      Object.assign(cdr, {
        end_reason: 'killed_by_operator',
        ended_by: 'switch',
        end_text: reason,
        end: iso(Date.now()),
      });
    this.cdrs.push(cdr);
    return true;
  }

  totals(): Totals {
    const answered = this.cdrs.filter((c) => c.answer);
    const talk = answered.reduce((n, c) => n + c.duration_ms, 0);
    const sum = (of: (c: CdrDetail) => string | null | undefined) =>
      answered.reduce((s, c) => add(s, decimal(of(c) ?? '0')), ZERO);
    const [revenue, cost] = [sum((c) => c.fee), sum((c) => c.cost)];
    return {
      t: iso(Date.now()),
      calls: this.calls.size,
      cps: this.arrived,
      attempts: this.cdrs.length,
      answered: answered.length,
      asr: ((answered.length * 100) / this.cdrs.length).toFixed(1),
      acd_s: Math.round(talk / 1000 / Math.max(1, answered.length)),
      revenue: toText(revenue),
      cost: toText(cost),
      profit: toText(subtract(revenue, cost)),
      alarms: 0,
    };
  }

  overview(): Overview {
    const end = Math.floor(Date.now() / STEP_MS) * STEP_MS;
    const series: SeriesPoint[] = Array.from({ length: STEPS }, (_, i) => {
      const t = end - (STEPS - 1 - i) * STEP_MS;
      const ended = this.cdrs.filter((c) => Date.parse(c.end) >= t && Date.parse(c.end) < t + STEP_MS);
      const sum = (of: (c: CdrDetail) => string | null | undefined) =>
        toText(ended.reduce((s, c) => add(s, decimal(of(c) ?? '0')), ZERO));
      const wave = Math.round(Math.sin(t / 90_000) * this.aim * 0.08 + Math.sin(t / 17_000) * this.aim * 0.03);
      return {
        t: iso(t),
        calls: Math.max(0, this.calls.size + (i === STEPS - 1 ? 0 : wave)),
        cps: Math.max(0, Math.round(4 + 3 * Math.sin(t / 60_000) + ((t / STEP_MS) % 3))),
        attempts: ended.length,
        answered: ended.filter((c) => c.answer).length,
        revenue: sum((c) => c.fee),
        cost: sum((c) => c.cost),
        profit: sum((c) => c.profit),
      };
    });
    const by = <K extends 'account' | 'routing_gateway'>(key: K, name: string) =>
      this.cdrs.filter((c) => c[key] === name);
    return {
      totals: this.totals(),
      series,
      currency: 'USD',
      top_customers: accounts
        .filter((a) => a.kind === 'customer')
        .map((a) => {
          const own = by('account', a.name);
          const revenue = toText(own.reduce((s, c) => add(s, decimal(c.fee ?? '0')), ZERO));
          return {
            account: a.name,
            calls: own.length,
            minutes_s: Math.round(own.reduce((n, c) => n + c.duration_ms, 0) / 1000),
            revenue,
          };
        })
        .filter((c) => c.calls > 0),
      gateways: routingGateways.map((g) => {
        const own = by('routing_gateway', g.name);
        const answered = own.filter((c) => c.answer).length;
        return {
          gateway: g.name,
          attempts: own.length,
          answered,
          asr: own.length > 0 ? ((answered * 100) / own.length).toFixed(1) : null,
          acd_s: answered > 0 ? g.acd_s : null,
        };
      }),
    };
  }
}
