/** Calls in progress: see, cut, diagnose. The switch sorts and filters; only the rows on screen come here. */

import { Link } from '@tanstack/react-router';
import { Button, Segmented } from 'antd';
import { useCallback, useRef, useState } from 'react';
import type { Call } from '../api/resources';
import { useText } from '../i18n';
import { count } from '../lib/format';
import { useUrl } from '../lib/url';
import { type LiveRows, useLiveRows, useLiveStatus } from '../lib/useLive';
import { type Range, serverWindow } from '../lib/windowing';
import { CallDrawer } from '../ui/CallDrawer';
import { DisconnectDialog } from '../ui/DisconnectDialog';
import { Grid } from '../ui/Grid';
import { ListBar } from '../ui/ListBar';
import { Empty } from '../ui/Notes';
import { Page } from '../ui/Page';
import { useCallColumns } from './callColumns';

/** Oldest first: newest first would make every row jump each second. */
const DEFAULT_SORT = 'start';
const FILTERS = ['q', 'state', 'account', 'mapping_gateway', 'routing_gateway'] as const;

export function Calls() {
  const t = useText();
  const { search, change } = useUrl();
  const [range, setRange] = useState<Range>({ first: 0, count: 0 });
  const [hold, setHold] = useState(false);
  const [cutting, setCutting] = useState<Call | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const columns = useCallColumns();
  const sort = search.sort ?? DEFAULT_SORT;
  const filter = Object.fromEntries(FILTERS.filter((f) => search[f]).map((f) => [f, search[f] ?? '']));
  const isFiltered = Object.keys(filter).length > 0;
  const window_ = serverWindow(range);
  const calls = useLiveRows<Call>({ topic: 'calls', filter, sort: [sortPair(sort)], ...window_, hold });
  const late = useLiveStatus().state;
  const open = useCallback((call: Call) => change({ call: call.id }), [change]);
  const focusGrid = () => frame.current?.querySelector<HTMLElement>('[role=grid]')?.focus();

  const takeNew = () => {
    // Letting go for a moment makes the switch send the new order; then the order is held again.
    setHold(false);
    setTimeout(() => setHold(frame.current?.contains(document.activeElement) ?? false), 1_200);
  };
  const onKey = (key: string, call: Call) => {
    if (key === 'Delete') setCutting(call);
    if (key === 'r') takeNew();
  };

  return (
    <Page title={t.nav.calls} fixed>
      <div className="page page-fixed" ref={frame}>
        <ListBar
          hint={t.calls.filterHint}
          filters={[
            { name: 'account', label: t.calls.customer, names: 'accounts' },
            { name: 'mapping_gateway', label: t.calls.mapping, names: 'mapping-gateways' },
            { name: 'routing_gateway', label: t.calls.routing, names: 'routing-gateways' },
          ]}
          left={<StateChoice value={search.state ?? ''} onChange={(state) => change({ state: state || undefined })} />}
          right={<Figures calls={calls} onTake={takeNew} />}
          onLeaveFilter={focusGrid}
        />
        <Grid
          label={t.nav.calls}
          columns={columns}
          count={calls.total}
          rowAt={(i) => calls.rows[i - calls.off]}
          rowKey={(call) => call.id}
          rowClass={(call) =>
            calls.gone.has(call.id) || call.state === 'ending' || call.state === 'ended' ? 'grid-row-gone' : ''
          }
          sort={sort}
          onSort={(next) => change({ sort: next })}
          onRange={setRange}
          onOpen={open}
          onKey={onKey}
          onHold={setHold}
          waiting={!calls.ready || late === 'down'}
          note={
            calls.ready && (
              <NoCalls
                filtered={isFiltered}
                onClear={() => change(Object.fromEntries(FILTERS.map((f) => [f, undefined])))}
              />
            )
          }
        />
      </div>
      {search.call && (
        <CallDrawer
          id={search.call}
          onClose={() => {
            change({ call: undefined });
            focusGrid();
          }}
          onDisconnect={setCutting}
        />
      )}
      {cutting && <DisconnectDialog call={cutting} onClose={() => setCutting(null)} />}
    </Page>
  );
}

function sortPair(sort: string): [string, 'asc' | 'desc'] {
  return sort.startsWith('-') ? [sort.slice(1), 'desc'] : [sort, 'asc'];
}

function StateChoice({ value, onChange }: { value: string; onChange: (state: string) => void }) {
  const t = useText();
  return (
    <Segmented
      aria-label={t.common.state}
      value={value}
      onChange={onChange}
      options={[
        { value: '', label: t.common.all },
        { value: 'ringing', label: t.calls.ringing },
        { value: 'talking', label: t.calls.talking },
      ]}
    />
  );
}

function Figures({ calls, onTake }: { calls: LiveRows<Call>; onTake: () => void }) {
  const t = useText();
  return (
    <>
      {calls.fresh > 0 && (
        <button type="button" className="link-button" title={t.live.held} onClick={onTake}>
          {t.live.fresh(calls.fresh)}
        </button>
      )}
      {calls.ready && <span data-total={calls.total}>{t.common.rows(count(calls.total))}</span>}
    </>
  );
}

function NoCalls({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  const t = useText();
  if (filtered)
    return <Empty text={t.common.filtered} action={<Button onClick={onClear}>{t.common.clearFilter}</Button>} />;
  return (
    <Empty
      text={t.calls.empty}
      action={
        <Link to="/records" search={{}}>
          {t.calls.emptyAction}
        </Link>
      }
    />
  );
}
