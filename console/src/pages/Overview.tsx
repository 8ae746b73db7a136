/** Is the network well, and what should I look at now? */
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { type Cdr, type Overview as OverviewData, system, type Totals } from '../api/resources';
import { useText, wordFor } from '../i18n';
import {
  clock,
  count,
  duration,
  isNegative,
  minutes,
  minutesSeconds,
  money,
  NONE,
  percent,
  plotValue,
} from '../lib/format';
import { useLiveRows, useTotals } from '../lib/useLive';
import { Chart } from '../ui/Chart';
import { ErrorNote, Loading } from '../ui/Notes';
import { Page, Panel, Scroll } from '../ui/Page';

const REFRESH_MS = 5_000;
const TAIL = { topic: 'cdr-tail', off: 0, n: 10 };
/** Below so many attempts a percentage says nothing. */
const ENOUGH_ATTEMPTS = 20;

export function Overview() {
  const t = useText();
  const overview = useQuery({ queryKey: ['overview'], queryFn: system.overview, refetchInterval: REFRESH_MS });
  const totals = useTotals() ?? overview.data?.totals;
  return (
    <Page title={t.nav.overview} right={<span className="muted">{t.overview.last15}</span>}>
      {overview.error && <ErrorNote error={overview.error} onRetry={() => void overview.refetch()} />}
      {overview.isPending && <Loading />}
      {overview.data && totals && (
        <>
          <KeyFigures totals={totals} currency={overview.data.currency} />
          <Charts data={overview.data} />
          <div className="panels">
            <TopCustomers data={overview.data} />
            <WorstGateways data={overview.data} />
          </div>
          <RecentRecords />
        </>
      )}
    </Page>
  );
}

function KeyFigures({ totals, currency }: { totals: Totals; currency: string }) {
  const t = useText();
  const figures: [name: string, value: string, unit: string, note: string, negative?: boolean][] = [
    [t.overview.concurrent, count(totals.calls), '', ''],
    [t.overview.cps, count(totals.cps), '', ''],
    [t.overview.asr, percent(totals.asr), '', t.overview.attempts(count(totals.answered), count(totals.attempts))],
    [t.overview.acd, minutesSeconds(totals.acd_s), '', ''],
    [t.overview.revenue, money(totals.revenue), currency, t.overview.today],
    [t.overview.cost, money(totals.cost), currency, t.overview.today],
    [t.overview.profit, money(totals.profit), currency, t.overview.today, isNegative(totals.profit)],
  ];
  return (
    <section className="kpis" aria-label={t.nav.overview} data-kpis="">
      {figures.map(([name, value, unit, note, negative]) => (
        <div className="kpi" key={name}>
          <div className="kpi-name">{name}</div>
          <div className={negative ? 'kpi-value negative' : 'kpi-value'}>
            {value} {unit && <span className="kpi-unit">{unit}</span>}
          </div>
          <div className="kpi-note">{note || '\u00a0'}</div>
        </div>
      ))}
    </section>
  );
}

function Charts({ data }: { data: OverviewData }) {
  const t = useText();
  const { times, calls, cps, profit } = useMemo(
    () => ({
      times: data.series.map((p) => Date.parse(p.t) / 1000),
      calls: data.series.map((p) => p.calls),
      cps: data.series.map((p) => p.cps),
      profit: data.series.map((p) => plotValue(p.profit)),
    }),
    [data.series],
  );
  const last = data.series.at(-1);
  return (
    <div className="panels-3">
      <Chart
        title={t.overview.callsChart}
        latest={count(last?.calls)}
        times={times}
        values={calls}
        format={count}
        color="--leg-a"
      />
      <Chart
        title={t.overview.cpsChart}
        latest={count(last?.cps)}
        times={times}
        values={cps}
        format={count}
        color="--leg-2"
      />
      <Chart
        title={t.overview.profitChart}
        latest={last ? `${money(last.profit, 4)} ${data.currency}` : NONE}
        times={times}
        values={profit}
        format={(v) => v.toFixed(4)}
        color="--leg-1"
      />
    </div>
  );
}

function TopCustomers({ data }: { data: OverviewData }) {
  const t = useText();
  return (
    <Panel title={t.overview.topCustomers}>
      {data.top_customers.length === 0 ? (
        <p className="muted">{t.overview.noTraffic}</p>
      ) : (
        <Scroll label={t.overview.topCustomers}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t.calls.customer}</th>
                <th scope="col" className="number">
                  {t.overview.calls}
                </th>
                <th scope="col" className="number">
                  {t.overview.minutes}
                </th>
                <th scope="col" className="number">
                  {t.overview.revenue} ({data.currency})
                </th>
              </tr>
            </thead>
            <tbody>
              {data.top_customers.slice(0, 5).map((c) => (
                <tr key={c.account}>
                  <td>
                    <Link to="/accounts/$id" params={{ id: c.account }} search={{}}>
                      {c.account}
                    </Link>
                  </td>
                  <td className="number">{count(c.calls)}</td>
                  <td className="number">{minutes(c.minutes_s)}</td>
                  <td className="number">{money(c.revenue)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}

function WorstGateways({ data }: { data: OverviewData }) {
  const t = useText();
  const ratio = (g: { attempts: number; answered: number }) => (g.attempts === 0 ? 1 : g.answered / g.attempts);
  const worst = data.gateways
    .filter((g) => g.attempts > 0)
    .sort((a, b) => ratio(a) - ratio(b))
    .slice(0, 5);
  return (
    <Panel title={t.overview.worstGateways}>
      {worst.length === 0 ? (
        <p className="muted">{t.overview.noTraffic}</p>
      ) : (
        <Scroll label={t.overview.worstGateways}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t.calls.routing}</th>
                <th scope="col" className="number">
                  {t.overview.answered}
                </th>
                <th scope="col" className="number">
                  {t.overview.asr}
                </th>
                <th scope="col" className="number">
                  {t.overview.acd}
                </th>
              </tr>
            </thead>
            <tbody>
              {worst.map((g) => (
                <tr key={g.gateway}>
                  <td>
                    <Link to="/records" search={{ routing_gateway: g.gateway, range: '15m' }}>
                      {g.gateway}
                    </Link>
                  </td>
                  <td className="number">{t.overview.attempts(count(g.answered), count(g.attempts))}</td>
                  <td className="number">{g.attempts < ENOUGH_ATTEMPTS ? NONE : percent(g.asr)}</td>
                  <td className="number">{minutesSeconds(g.acd_s)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}

function RecentRecords() {
  const t = useText();
  const tail = useLiveRows<Cdr>(TAIL);
  return (
    <Panel
      title={t.overview.recent}
      right={
        <Link to="/records" search={{}}>
          {t.common.more}
        </Link>
      }
    >
      <Scroll label={t.overview.recent}>
        <table className="table">
          <thead>
            <tr>
              {[t.records.start, t.calls.caller, t.calls.callee, t.calls.customer, t.calls.routing].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              <th scope="col" className="number">
                {t.records.duration}
              </th>
              <th scope="col">{t.records.endReason}</th>
              <th scope="col" className="number">
                {t.records.profit}
              </th>
            </tr>
          </thead>
          <tbody>
            {tail.rows.map((c) => (
              <tr key={c.id}>
                <td className="mono">
                  <Link to="/records/$id" params={{ id: c.id }} search={{}}>
                    {clock(c.start)}
                  </Link>
                </td>
                <td className="mono">{c.caller}</td>
                <td className="mono">{c.callee}</td>
                <td>{c.account ?? NONE}</td>
                <td>{c.routing_gateway ?? NONE}</td>
                <td className="number mono">{c.answer ? duration(c.duration_ms / 1000) : NONE}</td>
                <td>{wordFor(t.endReason, c.end_reason)}</td>
                <td className={isNegative(c.profit) ? 'number negative' : 'number'}>{money(c.profit, 4)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {tail.rows.length === 0 && <p className="muted">{t.overview.noTraffic}</p>}
    </Panel>
  );
}
