/**
 * Client of the live protocol: one WebSocket for the tab, any number of views on it.
 *
 * The server is always the authority: a view is asked for with its filter, order and window, and every frame replaces
 * what was shown. After a lost connection all views are asked for again, so nothing can be missed.
 */
export type LiveState = 'connecting' | 'live' | 'stale' | 'down';

export interface ViewSpec {
  topic: string;
  filter?: Record<string, string>;
  sort?: [string, 'asc' | 'desc'][];
  off?: number;
  n?: number;
  hold?: boolean;
}

export interface Frame {
  id: number;
  t: string;
  seq?: number;
  total?: number;
  off?: number;
  rows?: unknown[];
  gone?: string[];
  fresh?: number;
  totals?: unknown;
  error?: string;
}

/** The part of WebSocket that is used. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: string }) => void) | null;
  onclose: (() => void) | null;
  send(text: string): void;
  close(): void;
}

/** Everything that is not the protocol: sockets, clock, timers, chance. Tests bring their own. */
export interface Surroundings {
  open(): Socket;
  now(): number;
  after(ms: number, run: () => void): unknown;
  cancel(timer: unknown): void;
  random(): number;
}

export const STALE_MS = 3_000;
export const DOWN_MS = 10_000;
const BACK_OFF_MS = [500, 1_000, 2_000, 4_000, 8_000];

interface View {
  spec: ViewSpec;
  take: (frame: Frame) => void;
}

export interface LiveStatus {
  state: LiveState;
  /** When the last frame came, by the clock of this machine. */
  lastAt: number | null;
  /** Clock of the server less the clock here. */
  offsetMs: number;
}

export class LiveClient {
  private readonly around: Surroundings;
  private readonly views = new Map<number, View>();
  private readonly listeners = new Set<() => void>();
  private nextId = 1;
  private socket: Socket | null = null;
  private isOpen = false;
  private failures = 0;
  private retryTimer: unknown = null;
  private watchTimer: unknown = null;
  private suspended = false;
  private status: LiveStatus = { state: 'connecting', lastAt: null, offsetMs: 0 };

  constructor(around: Surroundings) {
    this.around = around;
  }

  /** Begins a view. The frames come to `take` until `close`. */
  view(spec: ViewSpec, take: (frame: Frame) => void) {
    const id = this.nextId++;
    this.views.set(id, { spec, take });
    this.connect();
    this.sendView(id);
    return {
      update: (next: ViewSpec) => {
        const view = this.views.get(id);
        if (!view || JSON.stringify(view.spec) === JSON.stringify(next)) return;
        view.spec = next;
        this.sendView(id);
      },
      close: () => {
        if (this.views.delete(id)) this.send({ op: 'drop', id });
      },
    };
  }

  /** Called when the tab has been hidden for a while, and when it is seen again. */
  suspend(suspended: boolean) {
    if (this.suspended === suspended) return;
    this.suspended = suspended;
    if (suspended) for (const id of this.views.keys()) this.send({ op: 'drop', id });
    else {
      this.connect();
      for (const id of this.views.keys()) this.sendView(id);
    }
  }

  /** Ends everything; used when the user signs out. */
  stop() {
    this.around.cancel(this.retryTimer);
    this.around.cancel(this.watchTimer);
    this.retryTimer = null;
    this.watchTimer = null;
    this.views.clear();
    this.dropSocket();
    this.setStatus({ state: 'connecting', lastAt: null });
  }

  getStatus = (): LiveStatus => this.status;

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private connect() {
    if (this.socket || this.retryTimer !== null) return;
    const socket = this.around.open();
    this.socket = socket;
    socket.onopen = () => {
      this.isOpen = true;
      if (!this.suspended) for (const id of this.views.keys()) this.sendView(id);
    };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => this.lost(socket);
    if (this.watchTimer === null) this.watch();
  }

  private receive(text: string) {
    let frame: Frame;
    try {
      frame = JSON.parse(text) as Frame;
    } catch {
      return; // Not ours to understand; the next frame replaces it anyway.
    }
    this.failures = 0;
    const now = this.around.now();
    const server = Date.parse(frame.t);
    const offsetMs = Number.isNaN(server) ? this.status.offsetMs : server - now;
    this.setStatus({ state: 'live', lastAt: now, offsetMs });
    this.views.get(frame.id)?.take(frame);
    if (frame.totals !== undefined) {
      for (const [id, view] of this.views) if (view.spec.topic === 'totals' && id !== frame.id) view.take(frame);
    }
  }

  private lost(socket: Socket) {
    if (socket !== this.socket) return;
    this.dropSocket();
    const base = BACK_OFF_MS[Math.min(this.failures, BACK_OFF_MS.length - 1)] ?? 8_000;
    this.failures += 1;
    // Jitter keeps a room full of consoles from coming back in the same instant.
    const wait = base * (0.5 + this.around.random() / 2);
    this.retryTimer = this.around.after(wait, () => {
      this.retryTimer = null;
      if (this.views.size > 0) this.connect();
    });
    this.judge();
  }

  private dropSocket() {
    const socket = this.socket;
    this.socket = null;
    this.isOpen = false;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  private watch() {
    this.watchTimer = this.around.after(1_000, () => {
      this.judge();
      // A connection that is open and silent is as dead as a closed one (a proxy may hold it open).
      if (this.isOpen && this.status.state === 'down' && this.socket && !this.suspended) this.lost(this.socket);
      this.watch();
    });
  }

  private judge() {
    const { lastAt, state } = this.status;
    if (this.suspended || lastAt === null) {
      if (lastAt === null && this.failures > 1 && state !== 'down') this.setStatus({ state: 'down' });
      return;
    }
    const age = this.around.now() - lastAt;
    const next: LiveState = age >= DOWN_MS ? 'down' : age >= STALE_MS ? 'stale' : 'live';
    if (next !== state) this.setStatus({ state: next });
  }

  private setStatus(change: Partial<LiveStatus>) {
    this.status = { ...this.status, ...change };
    for (const listener of this.listeners) listener();
  }

  private sendView(id: number) {
    const view = this.views.get(id);
    if (view && !this.suspended) this.send({ op: 'view', id, ...view.spec });
  }

  private send(message: object) {
    if (this.isOpen) this.socket?.send(JSON.stringify(message));
  }
}
