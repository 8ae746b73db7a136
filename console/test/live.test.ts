import { beforeEach, expect, test } from 'vitest';
import { type Frame, LiveClient, type Socket } from '../src/lib/live';

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close() {
    this.closed = true;
  }
  frame(frame: Partial<Frame>) {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

/** A world whose clock moves only when told to. */
class World {
  time = 1_000_000;
  chance = 1;
  sockets: FakeSocket[] = [];
  private timers: { at: number; run: () => void }[] = [];
  readonly around = {
    open: () => {
      const socket = new FakeSocket();
      this.sockets.push(socket);
      return socket;
    },
    now: () => this.time,
    after: (ms: number, run: () => void) => {
      const timer = { at: this.time + ms, run };
      this.timers.push(timer);
      return timer;
    },
    cancel: (timer: unknown) => {
      this.timers = this.timers.filter((t) => t !== timer);
    },
    random: () => this.chance,
  };
  get socket(): FakeSocket {
    const last = this.sockets.at(-1);
    if (!last) throw new Error('no socket');
    return last;
  }
  pass(ms: number) {
    const end = this.time + ms;
    for (;;) {
      const next = this.timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.timers = this.timers.filter((t) => t !== next);
      this.time = next.at;
      next.run();
    }
    this.time = end;
  }
  at = () => new Date(this.time).toISOString();
}

let world: World;
let client: LiveClient;
let frames: Frame[];
const CALLS = { topic: 'calls', sort: [['start', 'asc']] as [string, 'asc'][], off: 0, n: 64 };

beforeEach(() => {
  world = new World();
  client = new LiveClient(world.around);
  frames = [];
});

const take = (frame: Frame) => void frames.push(frame);
const state = () => client.getStatus().state;

test('one socket for all views, opened by the first', () => {
  client.view(CALLS, take);
  client.view({ topic: 'cdr-tail' }, take);
  expect(world.sockets).toHaveLength(1);
  expect(world.socket.sent).toEqual([]);
  world.socket.onopen?.();
  expect(world.socket.sent).toEqual([
    { op: 'view', id: 1, ...CALLS },
    { op: 'view', id: 2, topic: 'cdr-tail' },
  ]);
});

test('a frame goes to its own view, and totals to all views of totals', () => {
  const totals: Frame[] = [];
  client.view(CALLS, take);
  client.view({ topic: 'totals' }, (f) => totals.push(f));
  world.socket.onopen?.();
  world.socket.frame({ id: 1, t: world.at(), rows: [], total: 0 });
  world.socket.frame({ id: 0, t: world.at(), totals: { calls: 3 } });
  expect(frames).toHaveLength(1);
  expect(totals).toHaveLength(1);
});

test('an update is sent once, an equal one not at all, an end drops the view', () => {
  const view = client.view(CALLS, take);
  world.socket.onopen?.();
  view.update({ ...CALLS });
  view.update({ ...CALLS, off: 48 });
  view.close();
  expect(world.socket.sent.slice(1)).toEqual([
    { op: 'view', id: 1, ...CALLS, off: 48 },
    { op: 'drop', id: 1 },
  ]);
  world.socket.frame({ id: 1, t: world.at(), rows: [] });
  expect(frames).toEqual([]);
});

test('stale after three seconds, down after ten, live with the next frame', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  world.socket.frame({ id: 1, t: world.at() });
  expect(state()).toBe('live');
  world.pass(2_000);
  expect(state()).toBe('live');
  world.pass(2_000);
  expect(state()).toBe('stale');
  world.pass(7_000);
  expect(state()).toBe('down');
  world.pass(1_000);
  world.socket.onopen?.();
  world.socket.frame({ id: 1, t: world.at() });
  expect(state()).toBe('live');
});

test('a silent connection is given up and made anew', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  world.socket.frame({ id: 1, t: world.at() });
  world.pass(12_000);
  expect(world.sockets.length).toBeGreaterThan(1);
  expect(world.sockets[0]?.closed).toBe(true);
});

test('a lost connection comes back with longer and longer waits and asks for all views again', () => {
  client.view(CALLS, take);
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    const [count, from] = [world.sockets.length, world.time];
    world.socket.onclose?.();
    while (world.sockets.length === count) world.pass(250);
    waits.push(world.time - from);
  }
  expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 8_000]);
  world.socket.onopen?.();
  expect(world.socket.sent).toEqual([{ op: 'view', id: 1, ...CALLS }]);
  world.socket.frame({ id: 1, t: world.at() });
  const [count, from] = [world.sockets.length, world.time];
  world.socket.onclose?.();
  while (world.sockets.length === count) world.pass(250);
  expect(world.time - from).toBe(500);
});

test('chance shortens the wait by up to a half', () => {
  world.chance = 0;
  client.view(CALLS, take);
  world.socket.onclose?.();
  world.pass(250);
  expect(world.sockets).toHaveLength(2);
});

test('says that it is down when it never came up', () => {
  client.view(CALLS, take);
  expect(state()).toBe('connecting');
  world.socket.onclose?.();
  world.pass(500);
  world.socket.onclose?.();
  expect(state()).toBe('down');
});

test('a hidden tab drops its views and gets them back when it is seen', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  client.suspend(true);
  client.suspend(true);
  world.pass(60_000);
  client.suspend(false);
  expect(world.socket.sent.map((m) => m.op)).toEqual(['view', 'drop', 'view']);
});

test('knows how far the clock of the switch is from its own', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  world.socket.frame({ id: 1, t: new Date(world.time + 4_200).toISOString() });
  expect(client.getStatus().offsetMs).toBe(4_200);
});

test('text that is not a frame changes nothing', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  world.socket.onmessage?.({ data: 'hello' });
  expect(state()).toBe('connecting');
});

test('after the sign-out nothing is asked and nothing comes back', () => {
  client.view(CALLS, take);
  world.socket.onopen?.();
  client.stop();
  world.pass(60_000);
  expect(world.sockets).toHaveLength(1);
  expect(world.socket.closed).toBe(true);
});
