import type { Messages } from '../i18n';
import { count, minutesSeconds, percent } from '../lib/format';
import type { Column } from '../ui/Grid';
import { GatewayState } from '../ui/State';

interface Gateway {
  name: string;
  account: string;
  enabled: boolean;
  calls: number;
  cps: number;
  max_concurrency?: number | null;
  max_cps?: number | null;
  asr?: string | null;
  acd_s?: number | null;
}

/** What lists of both kinds of gateway begin and end with. */
export function gatewayColumns<T extends Gateway>(t: Messages, own: Column<T>[]): Column<T>[] {
  return [
    { key: 'name', title: t.common.name, width: 140, grow: true, sort: 'name', cell: (g) => g.name },
    { key: 'state', title: t.common.state, width: 92, cell: (g) => <GatewayState enabled={g.enabled} /> },
    { key: 'account', title: t.common.account, width: 130, sort: 'account', grow: true, cell: (g) => g.account },
    ...own,
    {
      key: 'calls',
      title: t.gateways.calls,
      width: 124,
      sort: 'calls',
      right: true,
      cell: (g) => ofLimit(g.calls, g.max_concurrency),
    },
    { key: 'cps', title: t.gateways.cps, width: 94, sort: 'cps', right: true, cell: (g) => ofLimit(g.cps, g.max_cps) },
    { key: 'asr', title: t.overview.asr, width: 80, sort: 'asr', right: true, cell: (g) => percent(g.asr) },
    { key: 'acd', title: t.overview.acd, width: 70, sort: 'acd_s', right: true, cell: (g) => minutesSeconds(g.acd_s) },
  ];
}

const ofLimit = (now: number, limit: number | null | undefined) =>
  `${count(now)} / ${limit == null ? '∞' : count(limit)}`;
