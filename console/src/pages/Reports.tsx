/** All reports: one table each, with a chart of its main figure; a row opens to its calls. */
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, DatePicker, Select } from 'antd';
import dayjs from 'dayjs';
import { type Report, type ReportTable, reports } from '../api/resources';
import { useText, wordFor } from '../i18n';
import { isNegative, NONE, percent, price } from '../lib/format';
import { parseSearch, useUrl } from '../lib/url';
import { ErrorNote, Loading } from '../ui/Notes';
import { Page, Panel, Scroll } from '../ui/Page';

const DATE = 'YYYY-MM-DD';
const FIRST = 'profit_by_customer';
/** Rows that are drawn; the table has them all. */
const BARS = 40;
const ROWS = 1000;

const ownZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const zones = () => ['UTC', ...Intl.supportedValuesOf('timeZone').filter((zone) => zone !== 'UTC')];

export function Reports() {
  const t = useText();
  const { search, change } = useUrl();
  const list = useQuery({ queryKey: ['reports'], queryFn: reports.list, staleTime: Number.POSITIVE_INFINITY });
  const name = search.report ?? FIRST;
  const report = list.data?.find((r) => r.name === name);
  const query = {
    from: search.from ?? dayjs().startOf('month').format(DATE),
    to: search.to ?? dayjs().add(1, 'day').format(DATE),
    tz: search.tz ?? ownZone,
    ...(search.group !== undefined && { group: search.group }),
  };
  const made = useQuery({
    queryKey: ['report', name, query],
    queryFn: () => reports.make(name, query),
    placeholderData: keepPreviousData,
  });
  const file = (format: string) => `/api/v1/reports/${name}?${new URLSearchParams({ ...query, format })}`;
  const table = made.data?.name === name ? made.data : undefined;
  return (
    <Page
      title={t.nav.reports}
      right={
        <>
          <Button href={file('csv')} download>
            CSV
          </Button>
          <Button href={file('xlsx')} download>
            XLSX
          </Button>
        </>
      }
    >
      <div className="row-of">
        <Select
          aria-label={t.reports.report}
          style={{ minWidth: 240 }}
          showSearch={{ optionFilterProp: 'label' }}
          value={name}
          onChange={(next) => change({ report: next, group: undefined })}
          options={(list.data ?? []).map((r) => ({ value: r.name, label: wordFor(t.reports.titles, r.name) }))}
        />
        <DatePicker.RangePicker
          aria-label={t.reports.time}
          allowClear={false}
          value={[dayjs(query.from), dayjs(query.to).subtract(1, 'day')]}
          onChange={(days) =>
            days?.[0] && days[1] && change({ from: days[0].format(DATE), to: days[1].add(1, 'day').format(DATE) })
          }
        />
        <Select
          aria-label={t.reports.zone}
          style={{ minWidth: 180 }}
          showSearch
          value={query.tz}
          onChange={(tz) => change({ tz })}
          options={zones().map((zone) => ({ value: zone, label: zone }))}
        />
        {report && <GroupChoice report={report} table={table} onChange={(group) => change({ group })} />}
      </div>
      {made.isPending && <Loading />}
      {made.error && <ErrorNote error={made.error} onRetry={() => void made.refetch()} />}
      {table && <Chart table={table} />}
      {table && <Rows table={table} />}
    </Page>
  );
}

interface GroupChoiceProps {
  report: Report;
  table: ReportTable | undefined;
  onChange: (group: string) => void;
}

function GroupChoice({ report, table, onChange }: GroupChoiceProps) {
  const t = useText();
  return (
    <Select
      aria-label={t.reports.group}
      mode="multiple"
      style={{ minWidth: 260 }}
      value={table?.group ?? report.group}
      onChange={(group: string[]) => onChange(group.join(','))}
      options={report.dimensions.map((d) => ({ value: d, label: wordFor(t.reports.dimensions, d) }))}
    />
  );
}

/** A figure as the server has rounded it, with its unit. */
function figure(text: string | null | undefined, unit: string): string {
  if (text == null) return NONE;
  return unit === 'percent' ? percent(text) : unit === 'money' || unit === 'price' ? price(text) : text;
}

function Chart({ table }: { table: ReportTable }) {
  const t = useText();
  const place = table.measures.findIndex((m) => m.name === table.chart);
  const measure = table.measures[place];
  if (!measure || table.rows.length === 0) return null;
  const at = table.group.length + place;
  // Only for the length of the bars; what is written beside them stays text.
  const lengths = table.rows.map((row) => Math.abs(Number(row.cells[at] ?? 0)));
  const inTime = ['minute', 'hour', 'day', 'week', 'month', 'hour_of_day'].includes(table.group[0] ?? '');
  const order = table.rows.map((_, i) => i);
  if (!inTime) order.sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
  const shown = order.slice(inTime ? -BARS : 0, inTime ? undefined : BARS);
  const longest = Math.max(...shown.map((i) => lengths[i] ?? 0), Number.MIN_VALUE);
  const title = wordFor(t.reports.measures, measure.name);
  return (
    <Panel title={title}>
      <div className="bars" role="img" aria-label={t.reports.chartLabel(title, String(shown.length))}>
        {shown.map((i) => {
          const cells = table.rows[i]?.cells ?? [];
          const name = cells.slice(0, table.group.length).map((cell) => cell ?? NONE);
          return (
            <div className="bar" key={name.join('|')}>
              <span className="bar-name">{name.join(' · ')}</span>
              <span className="bar-track">
                <span
                  className={isNegative(cells[at]) ? 'bar-fill bar-below' : 'bar-fill'}
                  style={{ width: `${((lengths[i] ?? 0) / longest) * 100}%` }}
                />
              </span>
              <span className="bar-value mono">{figure(cells[at], measure.unit)}</span>
            </div>
          );
        })}
      </div>
    </Panel>
  );
}

function Rows({ table }: { table: ReportTable }) {
  const t = useText();
  if (table.rows.length === 0) return <p className="muted">{t.reports.empty}</p>;
  const words = (dimension: string | undefined, cell: string | null | undefined) =>
    cell == null ? NONE : dimension === 'end_reason' ? wordFor(t.endReason, cell) : cell;
  const groups = table.group.length;
  return (
    <Panel>
      <Scroll label={wordFor(t.reports.titles, table.name)}>
        <table className="table">
          <thead>
            <tr>
              {table.group.map((d) => (
                <th key={d} scope="col">
                  {wordFor(t.reports.dimensions, d)}
                </th>
              ))}
              {table.measures.map((m) => (
                <th key={m.name} scope="col" className="number" title={m.help}>
                  {wordFor(t.reports.measures, m.name)}
                </th>
              ))}
              <th scope="col">{t.nav.records}</th>
            </tr>
          </thead>
          <tbody>
            {table.rows.slice(0, ROWS).map((row) => (
              <tr key={row.cells.slice(0, groups).join('|')}>
                {table.group.map((d, i) => (
                  <td key={d}>{words(d, row.cells[i])}</td>
                ))}
                {table.measures.map((m, i) => (
                  <td key={m.name} className={isNegative(row.cells[groups + i]) ? 'number negative' : 'number'}>
                    {figure(row.cells[groups + i], m.unit)}
                  </td>
                ))}
                <td>
                  {row.cdrs && (
                    <Link to="/records" search={{ range: 'all', ...parseSearch(row.cdrs) }}>
                      {t.reports.open}
                    </Link>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            {table.totals.map((row) => (
              <tr key={row.cells.slice(0, groups).join('|')}>
                {table.group.map((d, i) => (
                  <th key={d} scope={i === 0 ? 'row' : undefined}>
                    {row.cells[i] ?? (i === 0 ? t.reports.total : '')}
                  </th>
                ))}
                {table.measures.map((m, i) => (
                  <td key={m.name} className="number">
                    <strong>{figure(row.cells[groups + i], m.unit)}</strong>
                  </td>
                ))}
                <td />
              </tr>
            ))}
          </tfoot>
        </table>
      </Scroll>
      {table.rows.length > ROWS && <p className="muted">{t.reports.more(String(table.rows.length))}</p>}
    </Panel>
  );
}
