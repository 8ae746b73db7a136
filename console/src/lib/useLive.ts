/** The live client of this tab, and its state for components. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { Totals } from '../api/resources';
import { type Frame, LiveClient, type LiveStatus, type Socket, type ViewSpec } from './live';

const HIDDEN_MS = 30_000;

export const live = new LiveClient({
  open: () => {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    return new WebSocket(`${scheme}://${location.host}/api/v1/live`) as unknown as Socket;
  },
  now: () => Date.now(),
  after: (ms, run) => setTimeout(run, ms),
  cancel: (timer) => clearTimeout(timer as number | undefined),
  random: Math.random,
});

/** A tab that nobody sees asks for nothing. */
export function suspendWhenHidden() {
  let timer: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => live.suspend(true), HIDDEN_MS);
    else live.suspend(false);
  });
}

export const useLiveStatus = (): LiveStatus => useSyncExternalStore(live.subscribe, live.getStatus);

export interface LiveRows<T> {
  rows: T[];
  off: number;
  total: number;
  fresh: number;
  gone: ReadonlySet<string>;
  /** False until the first frame of this filter has come. */
  ready: boolean;
}

const NOTHING: LiveRows<never> = { rows: [], off: 0, total: 0, fresh: 0, gone: new Set(), ready: false };

/** A server window on a topic. The old rows stay until the first frame of a new spec replaces them. */
export function useLiveRows<T>(spec: ViewSpec): LiveRows<T> {
  const [shown, setShown] = useState<LiveRows<T>>(NOTHING);
  const handle = useRef<{ update(spec: ViewSpec): void; close(): void } | null>(null);
  const latest = useRef(spec);
  latest.current = spec;
  useEffect(() => {
    const take = (frame: Frame) => setShown(rowsOf<T>(frame));
    handle.current = live.view(latest.current, take);
    return () => handle.current?.close();
  }, []);
  const asked = JSON.stringify(spec);
  useEffect(() => {
    handle.current?.update(JSON.parse(asked) as ViewSpec);
  }, [asked]);
  return shown;
}

function rowsOf<T>(frame: Frame): LiveRows<T> {
  return {
    rows: (frame.rows ?? []) as T[],
    off: frame.off ?? 0,
    total: frame.total ?? frame.rows?.length ?? 0,
    fresh: frame.fresh ?? 0,
    gone: new Set(frame.gone ?? []),
    ready: true,
  };
}

/** The totals of each second. */
export function useTotals(): Totals | null {
  const [totals, setTotals] = useState<Totals | null>(null);
  useEffect(() => {
    const view = live.view({ topic: 'totals' }, (frame) => {
      if (frame.totals) setTotals(frame.totals as Totals);
    });
    return view.close;
  }, []);
  return totals;
}

/** The clock of the server in milliseconds, moving once a second. Durations on screen tick by it. */
export function useServerNow(): number {
  const offset = useLiveStatus().offsetMs;
  const now = useSyncExternalStore(subscribeSecond, currentSecond);
  return now + offset;
}

let second = Date.now();
const secondListeners = new Set<() => void>();
let secondTimer: ReturnType<typeof setInterval> | undefined;
const currentSecond = () => second;
function subscribeSecond(listener: () => void) {
  secondListeners.add(listener);
  secondTimer ??= setInterval(() => {
    second = Date.now();
    for (const each of secondListeners) each();
  }, 1_000);
  return () => {
    secondListeners.delete(listener);
    if (secondListeners.size === 0) {
      clearInterval(secondTimer);
      secondTimer = undefined;
    }
  };
}

/** A value that may be asked for at any time without making a callback new. */
export function useLatest<T>(value: T) {
  const ref = useRef(value);
  ref.current = value;
  return useCallback(() => ref.current, []);
}
