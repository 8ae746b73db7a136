/** The live protocol of the fake switch. */
import type { IncomingMessage, Server } from 'node:http';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Call } from '../src/api/resources';
import type { ViewSpec } from '../src/lib/live';
import { iso } from './fake-data';
import type { Traffic } from './fake-traffic';

interface View extends ViewSpec {
  id: number;
  seq: number;
  heldIds: string[] | null;
}

/** Sends frames each second; the returned function is that second. */
export function serveLive(
  server: Server,
  traffic: Traffic,
  signedIn: (request: IncomingMessage) => boolean,
): { second(): void; close(): void } {
  const sockets = new WebSocketServer({ noServer: true });
  const views = new Map<WebSocket, Map<number, View>>();
  server.on('upgrade', (request, socket, head) => {
    if (request.url !== '/api/v1/live' || !signedIn(request)) return socket.destroy();
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const own = new Map<number, View>();
      views.set(ws, own);
      ws.on('close', () => views.delete(ws));
      ws.on('message', (data) => {
        const message = JSON.parse(String(data)) as ViewSpec & { op: string; id: number };
        if (message.op === 'drop') own.delete(message.id);
        else {
          const before = own.get(message.id);
          const view: View = {
            ...message,
            seq: before?.seq ?? 0,
            heldIds: message.hold ? (before?.heldIds ?? null) : null,
          };
          own.set(message.id, view);
          send(ws, view, traffic);
        }
      });
    });
  });
  return {
    second: () => {
      for (const [ws, own] of views) for (const view of own.values()) send(ws, view, traffic);
    },
    close: () => {
      for (const ws of views.keys()) ws.terminate();
      sockets.close();
    },
  };
}

function send(ws: WebSocket, view: View, traffic: Traffic) {
  const t = iso(Date.now());
  if (view.topic === 'totals') return ws.send(JSON.stringify({ id: 0, t, totals: traffic.totals(), point: null }));
  const off = view.off ?? 0;
  const window = <T>(rows: T[]) => rows.slice(off, off + (view.n ?? 64));
  view.seq += 1;
  const frame = { id: view.id, seq: view.seq, t, off, gone: [] as string[], fresh: 0 };
  if (view.topic === 'cdr-tail') {
    const rows = traffic.cdrs.slice(-200).reverse();
    return ws.send(JSON.stringify({ ...frame, total: rows.length, rows: window(rows) }));
  }
  const matching = matchingCalls(traffic, view);
  const ids = matching.map((c) => c.id);
  if (!view.hold) view.heldIds = null;
  else view.heldIds ??= ids;
  const shown = view.heldIds ? view.heldIds.map((id) => traffic.calls.get(id) ?? endedCall(id, traffic)) : matching;
  const fresh = view.heldIds ? ids.filter((id) => !view.heldIds?.includes(id)).length : 0;
  const gone = window(shown)
    .filter((c) => c.state === 'ended')
    .map((c) => c.id);
  ws.send(JSON.stringify({ ...frame, gone, fresh, total: shown.length, rows: window(shown) }));
}

function endedCall(id: string, traffic: Traffic): Partial<Call> & { id: string; state: string } {
  const cdr = traffic.cdrs.find((c) => c.id === id);
  const leg = { call_id: '', packets_in: 0, packets_out: 0 };
  return {
    a: leg,
    b: leg,
    attempt: 1,
    start: cdr?.start ?? iso(0),
    caller: cdr?.caller ?? '',
    callee: cdr?.callee ?? '',
    id,
    state: 'ended',
  } as Partial<Call> & { id: string; state: string };
}

function matchingCalls(traffic: Traffic, view: View): Call[] {
  const { q, ...exact } = view.filter ?? {};
  const words = (q ?? '').toLowerCase();
  const rows = [...traffic.calls.values()].filter(
    (c) =>
      Object.entries(exact).every(([name, value]) => String(c[name as keyof Call]) === value) &&
      (!words ||
        [c.caller, c.callee, c.account, c.mapping_gateway, c.routing_gateway, c.codec].some((text) =>
          text?.toLowerCase().includes(words),
        )),
  );
  const [column, direction] = view.sort?.[0] ?? ['start', 'asc'];
  const sign = direction === 'desc' ? -1 : 1;
  const key = (c: Call) => String(c[column as keyof Call] ?? '');
  return rows.sort((a, b) => sign * key(a).localeCompare(key(b)) || a.id.localeCompare(b.id));
}
