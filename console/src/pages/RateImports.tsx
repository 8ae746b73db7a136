/** Rates out of a file: read it, look at what it would change, apply it, and take it back. */
import { useQuery } from '@tanstack/react-query';
import { Link, useParams } from '@tanstack/react-router';
import { App, Button, Input, Select, Switch } from 'antd';
import { useId, useState } from 'react';
import { type ImportOptions, type RateImport, rateGroups } from '../api/resources';
import { type Messages, useText, wordFor } from '../i18n';
import { count, NONE, price, time } from '../lib/format';
import { useMay } from '../lib/session';
import { useUrl } from '../lib/url';
import { choices } from '../ui/fields';
import { ErrorNote, Loading, sentenceOf } from '../ui/Notes';
import { Facts, Page, Panel, Scroll } from '../ui/Page';
import { StateMark } from '../ui/State';
import { useSaved } from '../ui/useSaved';

const READING_MS = 1_000;
const ROWS = 200;

export function RateImports() {
  const t = useText();
  const { id = '' } = useParams({ strict: false });
  const { search, change } = useUrl();
  const may = useMay();
  const group = useQuery({ queryKey: ['rate-groups', 'one', id], queryFn: () => rateGroups.get(id) });
  const all = useQuery({ queryKey: ['imports', id], queryFn: () => rateGroups.imports(id) });
  const shown = search.import ?? all.data?.items[0]?.id;
  return (
    <Page
      name={t.imports.title}
      title={
        <>
          <Link to="/rates/$id" params={{ id }} search={{}}>
            {group.data?.name ?? '…'}
          </Link>
          {` / ${t.imports.title}`}
        </>
      }
    >
      {may('rates.edit') && <Upload group={id} onDone={(made) => change({ import: made.id })} />}
      {all.error && <ErrorNote error={all.error} onRetry={() => void all.refetch()} />}
      {all.data && all.data.items.length > 0 && (
        <Panel title={t.imports.files}>
          <Select
            aria-label={t.imports.files}
            style={{ width: '100%', maxWidth: 560 }}
            value={shown}
            onChange={(next) => change({ import: next })}
            options={all.data.items.map((i) => ({
              value: i.id,
              label: `${i.name} · ${time(i.started_at)} · ${wordFor(t.imports.states, i.state)}`,
            }))}
          />
        </Panel>
      )}
      {shown && <Preview key={shown} group={id} id={shown} />}
    </Page>
  );
}

const START: ImportOptions = { replace: false, free_is_meant: false };

function Upload({ group, onDone }: { group: string; onDone: (made: RateImport) => void }) {
  const t = useText();
  const i = t.imports;
  const name = useId();
  const [file, setFile] = useState<File | null>(null);
  const [options, setOptions] = useState(START);
  const [failure, setFailure] = useState<unknown>(null);
  const [sending, setSending] = useState(false);
  const { refresh } = useSaved('imports');
  const set = (next: Partial<ImportOptions>) => setOptions({ ...options, ...next });
  const send = async () => {
    if (!file) return;
    setFailure(null);
    setSending(true);
    try {
      const made = await rateGroups.startImport(group, file, options);
      await refresh();
      onDone(made);
    } catch (error) {
      setFailure(error);
    } finally {
      setSending(false);
    }
  };
  const text = (key: 'effective' | 'increments', label: string, placeholder: string) => (
    <div className="import-option">
      <span>{label}</span>
      <Input
        aria-label={label}
        value={options[key] ?? ''}
        placeholder={placeholder}
        onChange={(e) => set({ [key]: e.target.value.trim() || undefined })}
      />
    </div>
  );
  const choice = (key: 'decimal_mark' | 'date_order', label: string, words: Record<string, string>) => (
    <div className="import-option">
      <span>{label}</span>
      <Select
        aria-label={label}
        allowClear
        placeholder={i.found}
        value={options[key]}
        onChange={(value) => set({ [key]: value ?? undefined })}
        options={choices(words)}
      />
    </div>
  );
  const toggle = (key: 'replace' | 'free_is_meant', label: string) => (
    <div className="import-option">
      <span>{label}</span>
      <Switch aria-label={label} checked={options[key]} onChange={(on) => set({ [key]: on })} />
    </div>
  );
  return (
    <Panel title={i.upload}>
      <p className="muted">{i.uploadHelp}</p>
      <div className="import-options">
        <div className="import-option">
          <label htmlFor={name}>{i.file}</label>
          <input id={name} type="file" onChange={(e) => setFile(e.target.files?.[0] ?? null)} />
        </div>
        {text('effective', i.effective, '2026-12-31T00:00:00Z')}
        {text('increments', i.increments, '60/6')}
        {choice('decimal_mark', i.decimalMark, i.decimalMarks)}
        {choice('date_order', i.dateOrder, i.dateOrders)}
        {toggle('replace', i.replace)}
        {toggle('free_is_meant', i.free)}
      </div>
      <Button type="primary" disabled={!file} loading={sending} onClick={() => void send()}>
        {i.read}
      </Button>
      {failure !== null && <ErrorNote error={failure} />}
    </Panel>
  );
}

function Preview({ group, id }: { group: string; id: string }) {
  const t = useText();
  const result = useQuery({
    queryKey: ['imports', group, id],
    queryFn: () => rateGroups.importOf(group, id),
    refetchInterval: (q) => (q.state.data?.state === 'reading' ? READING_MS : false),
  });
  if (result.isPending) return <Loading />;
  if (result.error) return <ErrorNote error={result.error} onRetry={() => void result.refetch()} />;
  const found = result.data;
  return (
    <>
      <Summary group={group} found={found} />
      {found.failure && (
        <Panel title={t.imports.failure}>
          <p>{found.failure.reason}</p>
        </Panel>
      )}
      <Faults found={found} />
      <Differences found={found} />
      <BelowCost found={found} />
    </>
  );
}

const TONES = { reading: 'warn', ready: 'ok', failed: 'crit', applied: 'ok', undone: 'muted' } as const;

function Summary({ group, found }: { group: string; found: RateImport }) {
  const t = useText();
  const i = t.imports;
  const may = useMay();
  return (
    <Panel title={found.name} right={may('rates.edit') && <Actions group={group} found={found} />}>
      <Facts
        facts={[
          [
            t.common.state,
            <StateMark key="state" tone={TONES[found.state as keyof typeof TONES] ?? 'muted'}>
              {wordFor(i.states, found.state)}
            </StateMark>,
          ],
          [i.rows, count(found.rows_read)],
          [i.good, count(found.good_rows)],
          [i.bad, count(found.bad_rows)],
          [i.codes, count(found.codes)],
          [i.fresh, count(found.new)],
          [i.cheaper, count(found.cheaper)],
          [i.dearer, count(found.dearer)],
          [i.changed, count(found.changed)],
          [i.same, count(found.same)],
          [i.gone, count(found.gone)],
          [i.belowCost, count(found.below_cost_count)],
        ]}
      />
    </Panel>
  );
}

function Actions({ group, found }: { group: string; found: RateImport }) {
  const t = useText();
  const i = t.imports;
  const { message, modal } = App.useApp();
  const { saved } = useSaved('imports', 'rates', 'rate-groups');
  const ask = (title: string, content: string, run: () => Promise<unknown>, done: string) =>
    modal.confirm({
      title,
      content,
      autoFocusButton: 'cancel',
      onOk: async () => {
        try {
          await run();
        } catch (error) {
          void message.error(sentenceOf(error, t));
          return;
        }
        await saved(done);
      },
    });
  const bad = found.bad_rows > 0;
  if (found.state === 'ready')
    return (
      <Button
        type="primary"
        onClick={() =>
          ask(
            i.applyTitle(found.name),
            bad ? i.applyWithout(String(found.bad_rows)) : i.applyHelp,
            () => rateGroups.applyImport(group, found.id, bad),
            i.applied,
          )
        }
      >
        {i.apply}
      </Button>
    );
  if (found.state !== 'applied') return null;
  return (
    <Button
      danger
      onClick={() => ask(i.undoTitle(found.name), i.undoHelp, () => rateGroups.undoImport(group, found.id), i.undone)}
    >
      {i.undo}
    </Button>
  );
}

function Table({ title, heads, rows }: { title: string; heads: string[]; rows: string[][] }) {
  const t = useText();
  if (rows.length === 0) return null;
  return (
    <Panel title={title}>
      <Scroll label={title}>
        <table className="table">
          <thead>
            <tr>
              {heads.map((head) => (
                <th key={head}>{head}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, ROWS).map((cells, line) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: rows of a file may repeat and never move
              <tr key={line}>
                {cells.map((cell, column) => (
                  <td key={heads[column]}>{cell}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {rows.length > ROWS && <p className="muted">{t.imports.firstRows(String(ROWS), String(rows.length))}</p>}
    </Panel>
  );
}

function Faults({ found }: { found: RateImport }) {
  const i = useText().imports;
  const rows = found.faults.map((f) => [f.line ? String(f.line) : NONE, f.column || NONE, f.reason]);
  return <Table title={i.problems} heads={[i.line, i.column, i.reason]} rows={rows} />;
}

const priceOr = (text: string | null | undefined) => (text == null ? NONE : price(text));

function Differences({ found }: { found: RateImport }) {
  const t = useText();
  const i = t.imports;
  const rows = found.differences.map((d) => [d.prefix, d.area, priceOr(d.before), priceOr(d.after)]);
  return <Table title={i.differences} heads={[t.rates.prefix, t.rates.area, i.before, i.after]} rows={rows} />;
}

function BelowCost({ found }: { found: RateImport }) {
  const t: Messages = useText();
  const i = t.imports;
  const rows = found.below_cost.map((b) => [b.prefix, priceOr(b.price), priceOr(b.cost), b.rate_group]);
  return <Table title={i.belowCost} heads={[t.rates.prefix, i.price, i.cost, t.accounts.rateGroup]} rows={rows} />;
}
