import { useMemo } from 'react';
import type { Call } from '../api/resources';
import { type Language, type Messages, useLanguage, wordFor } from '../i18n';
import { duration, NONE, percentOf, price, seconds } from '../lib/format';
import { useServerNow } from '../lib/useLive';
import type { Column } from '../ui/Grid';
import { CallState } from '../ui/State';

/** Ticks here, from the start and the clock of the switch, so that it need not be sent each second. */
export function LiveDuration({ call }: { call: Call }) {
  const now = useServerNow();
  const from = call.answer ?? null;
  return <span className="mono">{from === null ? NONE : duration((now - Date.parse(from)) / 1000)}</span>;
}

/** Defaults of operators: good below 0.5 % and 20 ms, critical from 2 % and 50 ms. Good has no colour. */
export const lossTone = (n: number | null | undefined) =>
  n == null || n < 0.5 ? '' : n < 2 ? 'state-warn' : 'state-crit';
export const jitterTone = (n: number | null | undefined) =>
  n == null || n < 20 ? '' : n < 50 ? 'state-warn' : 'state-crit';

/** The worse of both legs. */
function worse(a: number | null | undefined, b: number | null | undefined): number | null {
  const known = [a, b].filter((n): n is number => n != null);
  return known.length === 0 ? null : Math.max(...known);
}

const WIDTHS: Record<Language, { state: number; gateway: number; money: number }> = {
  en: { state: 92, gateway: 126, money: 80 },
  zh: { state: 84, gateway: 120, money: 90 },
  es: { state: 128, gateway: 162, money: 88 },
};

export function useCallColumns(): Column<Call>[] {
  const { texts, language } = useLanguage();
  return useMemo(() => columnsOf(texts, WIDTHS[language]), [texts, language]);
}

function columnsOf(t: Messages, width: (typeof WIDTHS)['en']): Column<Call>[] {
  const mono = (text: string | null | undefined) => <span className="mono">{text ?? NONE}</span>;
  return [
    {
      key: 'state',
      title: t.common.state,
      width: width.state,
      sort: 'state',
      cell: (c) => (
        <span title={c.end_reason ? wordFor(t.endReason, c.end_reason) : undefined}>
          <CallState state={c.state} />
        </span>
      ),
    },
    {
      key: 'duration',
      title: t.calls.duration,
      width: 92,
      right: true,
      sort: 'start',
      cell: (c) => <LiveDuration call={c} />,
    },
    { key: 'caller', title: t.calls.caller, width: 108, sort: 'caller', cell: (c) => mono(c.caller) },
    { key: 'callee', title: t.calls.callee, width: 118, sort: 'callee', cell: (c) => mono(c.callee) },
    {
      key: 'account',
      title: t.calls.customer,
      width: 106,
      grow: true,
      sort: 'account',
      cell: (c) => c.account ?? NONE,
    },
    {
      key: 'mapping',
      title: t.calls.mapping,
      width: width.gateway,
      grow: true,
      sort: 'mapping_gateway',
      cell: (c) => c.mapping_gateway ?? NONE,
    },
    {
      key: 'routing',
      title: t.calls.routing,
      width: width.gateway,
      grow: true,
      sort: 'routing_gateway',
      cell: (c) => c.routing_gateway ?? NONE,
    },
    {
      key: 'attempt',
      title: t.calls.attempt,
      width: 70,
      sort: 'attempt',
      right: true,
      cell: (c) => (c.attempt > 0 ? c.attempt : NONE),
    },
    { key: 'codec', title: t.calls.codec, width: 70, cell: (c) => codecs(c) },
    { key: 'pdd', title: t.calls.pdd, width: 62, right: true, sort: 'pdd_ms', cell: (c) => seconds(c.pdd_ms) },
    {
      key: 'loss',
      title: t.calls.loss,
      width: 74,
      sort: 'loss_percent',
      right: true,
      cell: (c) => quality(worse(c.a.loss_percent, c.b.loss_percent), percentOf, lossTone),
    },
    {
      key: 'jitter',
      title: t.calls.jitter,
      width: 80,
      sort: 'jitter_ms',
      right: true,
      cell: (c) => quality(worse(c.a.jitter_ms, c.b.jitter_ms), (n) => `${n.toFixed(0)} ms`, jitterTone),
    },
    { key: 'rate', title: t.calls.rate, width: width.money, sort: 'rate', right: true, cell: (c) => price(c.rate) },
  ];
}

function codecs(call: Call): string {
  const { a, b } = call;
  if (a.codec && b.codec && a.codec !== b.codec) return `${a.codec}/${b.codec}`;
  return call.codec ?? a.codec ?? b.codec ?? NONE;
}

function quality(n: number | null, format: (n: number) => string, tone: (n: number) => string) {
  if (n === null) return NONE;
  const name = tone(n);
  return (
    <span className={name}>
      {name === 'state-crit' && <span aria-hidden="true">▲ </span>}
      {format(n)}
    </span>
  );
}
